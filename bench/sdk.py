"""The vendor's Python SDK, streaming stdin: no gate, no spool, no reconnecting, no MQTT.

Sends 100 ms at a time, all of it, and commits every 20 s. Started by the benchmarks beside scribed.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import sys

from elevenlabs.client import AsyncElevenLabs
from elevenlabs.realtime import AudioFormat, CommitStrategy

CHUNK = 3200
COMMIT_AFTER = 200  # chunks


async def main(url: str, key: str) -> None:
    """Run to the end of stdin."""
    client = AsyncElevenLabs(api_key=key, base_url=url.replace("ws://", "http://"))
    connection = await client.speech_to_text.realtime.connect(
        {
            "model_id": "scribe_v2_realtime",
            "audio_format": AudioFormat.PCM_16000,
            "sample_rate": 16_000,
            "commit_strategy": CommitStrategy.MANUAL,
        }
    )
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin.buffer)
    sent = 0
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            pcm = await reader.readexactly(CHUNK)
            await connection.send({"audio_base_64": base64.b64encode(pcm).decode()})
            sent += 1
            if sent % COMMIT_AFTER == 0:
                await connection.commit()
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
