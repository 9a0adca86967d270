"""The OVOS listener's loop on stdin: run as a script by a Python that has it, and no scribed.

Its own parts as they come: the ALSA microphone plugin (a thread that reads 64 ms at a time, and a
queue), the webrtcvad plugin, and the loop, which listens all the time (`continuous_listen`) with no
wake word. `alsaaudio` is stdin in real time, and the recogniser throws away what it is streamed and
answers after 250 ms.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

ANSWER_S = 0.25
READY = "listening"
CONFIGURATION = {"listener": {"continuous_listen": True}, "log_level": "WARNING"}


class StandardInput:
    """What the plugin asks of `alsaaudio.PCM`."""

    def __init__(self, periodsize: int, **_: Any) -> None:
        self._bytes = periodsize * 2

    def read(self) -> tuple[int, bytes]:
        """A period; the end of the input is the end of the process."""
        pcm = sys.stdin.buffer.read(self._bytes)
        if len(pcm) < self._bytes:
            os._exit(0)
        return len(pcm) // 2, pcm

    def close(self) -> None:
        """Nothing to do."""


def main() -> None:
    """Run to the end of stdin."""
    home = Path(tempfile.mkdtemp(dir=os.environ["HOME"]))
    (home / "mycroft").mkdir()
    (home / "mycroft" / "mycroft.conf").write_text(json.dumps(CONFIGURATION), "utf-8")
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        os.environ[name] = str(home)
    alsa: Any = ModuleType("alsaaudio")
    alsa.PCM, alsa.PCM_CAPTURE, alsa.PCM_FORMAT_S16_LE = StandardInput, 1, 2
    sys.modules["alsaaudio"] = alsa

    from ovos_config import Configuration  # noqa: PLC0415 -- finds its file by what is set above
    from ovos_dinkum_listener.transformers import AudioTransformersService  # noqa: PLC0415
    from ovos_dinkum_listener.voice_loop.hotwords import HotwordContainer  # noqa: PLC0415
    from ovos_dinkum_listener.voice_loop.voice_loop import DinkumVoiceLoop  # noqa: PLC0415
    from ovos_microphone_plugin_alsa import AlsaMicrophone  # noqa: PLC0415
    from ovos_plugin_manager.templates.stt import StreamingSTT, StreamThread  # noqa: PLC0415
    from ovos_utils.fakebus import FakeBus  # noqa: PLC0415
    from ovos_vad_plugin_webrtcvad import WebRTCVAD  # noqa: PLC0415

    class Stream(StreamThread):  # type: ignore[misc]  # is not here
        def handle_audio_stream(self, audio: Iterable[bytes], language: str) -> None:
            for _ in audio:
                pass

        def finalize(self) -> str:
            time.sleep(ANSWER_S)
            return "turn left"

    class Recogniser(StreamingSTT):  # type: ignore[misc]  # nor this
        def create_streaming_thread(self) -> Stream:
            return Stream(self.queue, self.lang)

    hotwords = HotwordContainer(FakeBus())
    hotwords.load_hotword_engines()
    microphone = AlsaMicrophone()
    loop = DinkumVoiceLoop(
        mic=microphone,
        hotwords=hotwords,
        stt=Recogniser(),
        fallback_stt=None,
        vad=WebRTCVAD(),
        transformers=AudioTransformersService(FakeBus(), Configuration()),
        text_callback=lambda texts, _: print(texts),
    )
    loop.start()
    microphone.start()
    print(READY, file=sys.stderr, flush=True)
    loop.run()


if __name__ == "__main__":
    main()
