"""The floor: a bare loop of scribed's own libraries, without spool, recovery or supervision.

Reads 20 ms frames from stdin, asks webrtcvad, sends 100 ms chunks while somebody speaks and 500 ms
after, commits, publishes each answer. Started by the benchmarks beside scribed, on the same input.
"""

from __future__ import annotations

import base64
import collections
import json
import sys

import paho.mqtt.client as mqtt
import webrtcvad
import websocket
from paho.mqtt.enums import CallbackAPIVersion

FRAME, CHUNK = 640, 3200
HANGOVER, PRE_ROLL, START = 25, 15, 3  # frames


def main(url: str, key: str, port: int) -> None:
    """Run to the end of stdin."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    ws = websocket.create_connection(url, header={"xi-api-key": key})
    ws.recv()
    vad = webrtcvad.Vad(2)
    before: collections.deque[bytes] = collections.deque(maxlen=PRE_ROLL + START)
    speaking, run, buffer = False, 0, bytearray()

    def send(pcm: bytes, *, commit: bool) -> None:
        audio = base64.b64encode(pcm).decode()
        message = {"message_type": "input_audio_chunk", "audio_base_64": audio, "commit": commit}
        ws.send(json.dumps(message | {"sample_rate": 16000}))

    while len(frame := sys.stdin.buffer.read(FRAME)) == FRAME:
        voiced = vad.is_speech(frame, 16000)
        if not speaking:
            before.append(frame)
            run = run + 1 if voiced else 0
            if run >= START:
                speaking, run = True, 0
                buffer += b"".join(before)
                before.clear()
            continue
        buffer += frame
        run = 0 if voiced else run + 1
        if run >= HANGOVER:
            send(bytes(buffer), commit=True)
            buffer.clear()
            speaking, run = False, 0
            while json.loads(message := ws.recv())["message_type"] != "committed_transcript":
                pass
            client.publish("floor/transcript", message, qos=1)
        elif len(buffer) >= CHUNK:
            send(bytes(buffer), commit=False)
            buffer.clear()
    ws.close()
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
