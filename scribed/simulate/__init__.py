"""A stand-in for the cloud: the ElevenLabs realtime endpoint in manual mode, on this machine.

```
server.py       listens, and serves every connection in one thread with an event loop
connection.py   one connection: messages between its socket, its session and its recogniser
engine.py       one thread a session: audio in, recognised text out
tally.py        keeps what the simulator has seen: the frozen records of recording.py
audio.py        any audio_format to what recognisers hear (pure)
tls.py          a throw-away certificate
dialects/       the service's protocol, without I/O (pure)
recognizers/    who does the hearing
```
"""
