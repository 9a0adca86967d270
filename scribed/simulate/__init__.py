"""A stand-in for the cloud on this machine: ElevenLabs' realtime endpoint and OpenMind's proxy.

```
server.py       listens, and serves every connection in one thread with an event loop
door.py         before a session: whose path, who may come in, what HTTP answers (pure)
admission.py    keys and single-use tokens (pure)
posts.py        a POST on the WebSocket port: a token is minted by one (pure)
connection.py   one connection: messages between its socket, its session and its recogniser
engine.py       one thread a session: audio in, recognised text out
faults.py       what can go wrong on purpose, by name and by schedule (pure)
faulty.py       a session that suffers it (pure)
tally.py        keeps what the simulator has seen: the frozen records of recording.py
audio.py        any audio_format to what recognisers hear (pure)
endpointing.py  the end of speech by level, for a service that has no other commit (pure)
tls.py          a throw-away certificate
dialects/       the services' protocols, without I/O (pure)
recognizers/    who does the hearing
```
"""
