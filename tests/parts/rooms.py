"""A room with a loudspeaker, a microphone that hears it too, and a sound server's echo canceller.

```
say() ─► voice ─► speaker ─► (the air) ─► room ─► ears ─► scribed, as pulse:ears
           └─────── what is taken away ─────────► ┘
                               answer() ─► room
```
`voice` and `ears` are the canceller's. The servers are private: directories and sockets of their
own, and nothing of the user's configuration.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from array import array
from pathlib import Path
from typing import ClassVar

START_S = 15.0
LATENCY = "--latency-msec=50"


class Room:
    """A context manager; `needs` are the programs that it is made of."""

    device = "pulse:ears"
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._stack = contextlib.ExitStack()

    @classmethod
    def missing(cls) -> str:
        """Why there cannot be one here; "": there can."""
        gone = [each for each in (*cls.needs, "pactl", "parec", "paplay") if not shutil.which(each)]
        return f"not installed: {', '.join(gone)}" if gone else ""

    def environment(self) -> dict[str, str]:
        """What a process needs to hear and to play here."""
        return {
            "PULSE_SERVER": f"unix:{self.socket}",
            "PULSE_CLIENTCONFIG": str(self.directory / "client.conf"),
            "PULSE_RUNTIME_PATH": str(self.directory),
        }

    @property
    def socket(self) -> Path:
        return self.directory / "native"

    def say(self, wav: Path, volume: float) -> subprocess.Popen[bytes]:
        """The robot says it, by its loudspeaker."""
        return self._play(wav, "voice", volume)

    def answer(self, wav: Path, volume: float) -> subprocess.Popen[bytes]:
        """Somebody in the room says it."""
        return self._play(wav, "room", volume)

    def record(self, source: str) -> Recording:
        """What `source` gives from now on."""
        path = self.directory / f"{source}.raw"
        shape = ("--raw", "--format=s16le", "--rate=16000", "--channels=1")
        self._run("parec", *shape, LATENCY, f"--device={source}", str(path))
        return Recording(path)

    def __enter__(self) -> Room:
        with contextlib.ExitStack() as stack:
            self._stack = stack
            client = f"autospawn = no\nenable-shm = no\ncookie-file = {self.directory}/cookie\n"
            (self.directory / "client.conf").write_text(client)
            self._serve()
            self._await()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _serve(self) -> None:
        raise NotImplementedError

    def _is_ready(self) -> bool:
        return {"ears", "room.monitor", "speaker.monitor"} <= set(
            self._ask("pactl", "list", "short", "sources").split()
        )

    def _await(self) -> None:
        deadline = time.monotonic() + START_S
        while not self._is_ready():
            log = self.directory / "server.log"
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.05)

    def _ask(self, *command: str) -> str:
        environment = {**os.environ, **self.environment()}
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        ).stdout

    def _play(self, wav: Path, sink: str, volume: float) -> subprocess.Popen[bytes]:
        steps = round(65536 * volume ** (1 / 3))  # PulseAudio's are cubic
        return self._run("paplay", f"--volume={steps}", LATENCY, f"--device={sink}", str(wav))

    def _run(
        self, *command: str, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """A process group that ends with the room."""
        with (self.directory / "server.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env=environment or {**os.environ, **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._stack.callback(_end, process)
        return process


class Recording:
    """Sound that is being written to a file: 16 kHz mono."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def samples(self) -> array[int]:
        """All so far."""
        pcm = self._path.read_bytes() if self._path.exists() else b""
        return array("h", pcm[: len(pcm) // 2 * 2])


class PulseRoom(Room):
    """PulseAudio's module-echo-cancel."""

    needs = ("pulseaudio",)

    def _serve(self) -> None:
        sink = "format=s16le rate=48000 channels=1 norewinds=1"
        gains = "analog_gain_control=0 digital_gain_control=0"
        modules = (
            f"module-null-sink sink_name=speaker {sink}",
            f"module-null-sink sink_name=room {sink}",
            "module-loopback source=speaker.monitor source_dont_move=1 sink=room sink_dont_move=1 "
            "latency_msec=60",
            "module-remap-source source_name=mic master=room.monitor",
            "module-echo-cancel source_master=mic sink_master=speaker source_name=ears "
            f'sink_name=voice aec_method=webrtc aec_args="{gains}" rate=16000 channels=1 '
            "use_volume_sharing=no",
            f"module-native-protocol-unix socket={self.socket} auth-anonymous=1",
        )
        home = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "PULSE_RUNTIME_PATH": str(self.directory),
            "PULSE_STATE_PATH": str(self.directory),
        }
        self._run(
            *("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"),
            *("--disable-shm=yes", "--realtime=no", "--high-priority=no", "--log-target=stderr"),
            *(f"--load={module}" for module in modules),
            environment=home,
        )


_PIPEWIRE = """
context.objects = [
  { factory = adapter args = { factory.name = support.null-audio-sink node.name = speaker
    media.class = Audio/Sink audio.position = [ MONO ] object.linger = true } }
  { factory = adapter args = { factory.name = support.null-audio-sink node.name = room
    media.class = Audio/Sink audio.position = [ MONO ] object.linger = true } }
]
context.modules = [
  { name = libpipewire-module-echo-cancel args = {
    library.name = aec/libspa-aec-webrtc
    audio.channels = 1
    audio.position = [ MONO ]
    capture.props = { node.name = aec.capture target.object = room stream.capture.sink = true }
    source.props = { node.name = ears }
    sink.props = { node.name = voice }
    playback.props = { node.name = aec.playback target.object = speaker }
  } }
  { name = libpipewire-module-loopback args = {
    audio.position = [ MONO ]
    capture.props = { node.name = air.in target.object = speaker stream.capture.sink = true }
    playback.props = { node.name = air.out target.object = room }
  } }
]
"""
_SERVERS = "pipewire & sleep 0.5; wireplumber & exec pipewire-pulse"


class PipeWireRoom(Room):
    """PipeWire's libpipewire-module-echo-cancel, reached as PulseAudio would be."""

    needs = ("pipewire", "wireplumber", "pipewire-pulse", "pw-link", "dbus-run-session")

    @property
    def socket(self) -> Path:
        return self.directory / "pulse" / "native"

    def _serve(self) -> None:
        (config := self.directory / "config" / "pipewire" / "pipewire.conf.d").mkdir(parents=True)
        (config / "room.conf").write_text(_PIPEWIRE)
        home = {
            "HOME": str(self.directory),
            "XDG_RUNTIME_DIR": str(self.directory),
            "XDG_CONFIG_HOME": str(self.directory / "config"),
            "XDG_STATE_HOME": str(self.directory / "state"),
        }
        self._run(
            "dbus-run-session", "--", "sh", "-c", _SERVERS, environment={**os.environ, **home}
        )

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "XDG_RUNTIME_DIR": str(self.directory)}

    def _is_ready(self) -> bool:
        links = self._ask("pw-link", "-l")
        return super()._is_ready() and all(
            f"{each}_MONO\n" in links
            for each in (
                "aec.capture:input",
                "aec.playback:output",
                "air.in:input",
                "air.out:output",
            )
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the group that `process` began."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
