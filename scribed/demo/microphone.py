"""A microphone without hardware: what is played into a PulseAudio null sink is captured by ALSA.

The sound server is private: its own directory and socket, none of the user's or the system's
configuration, no autospawn, nothing written elsewhere. It works as root and does not touch the
server of a desktop. Blocks come in real time, 20 ms each, as from a USB microphone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from scribed.errors import SourceError
from scribed.model import RATE

DEVICE = "demo_mic"
_SINK = "scribed_demo"
_SYSTEM_CONFIG = "/usr/share/alsa/alsa.conf"
_PLUGIN = "libasound_module_pcm_pulse.so"
_PLUGIN_PLACES = ("usr/lib/*/alsa-lib", "usr/lib/alsa-lib", "usr/lib64/alsa-lib")
_SERVER = (
    *("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"),
    *("--disable-shm=yes", "--realtime=no", "--high-priority=no"),
    *("--log-level=warning", "--log-target=stderr"),
)
"""In the foreground, with no configuration, and asking for nothing that root may have."""
_START_S, _STOP_S = 10.0, 3.0
_PLAY_LATENCY_MS = 200
_SOCKET_PATH_MAX = 107  # of sun_path

_ASOUND = """\
pcm.{device} {{
    type pulse
    server "unix:{socket}"
    device "{sink}.monitor"
    hint {{ show on description "what the demo plays" }}
}}
"""
_CLIENT = "autospawn = no\nenable-shm = no\ncookie-file = {directory}/cookie\n"


class NullSinkMicrophone:
    """A capture device, `device`, for processes that run with `environment()`.

    A context manager; `start()` raises `SourceError` where something is not installed or the
    server does not come up. Sound is 16 kHz mono. Use it from one thread.
    """

    device = DEVICE

    def __init__(self) -> None:
        self._directory: Path | None = None
        self._system_config = os.environ.get("ALSA_CONFIG_PATH") or _SYSTEM_CONFIG
        self._server: subprocess.Popen[bytes] | None = None
        self._players: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the sound server and wait until it takes connections."""
        _check_installed()
        self._directory = Path(tempfile.mkdtemp(prefix="scribed-mic-"))
        try:
            self._configure(self._directory)
            self._server = self._launch(self._directory)
            self._await(self._server)
        except BaseException:
            self.stop()
            raise

    def environment(self) -> dict[str, str]:
        """Variables that a process needs besides its own to capture from `device`."""
        directory = self._here()
        return {
            "ALSA_CONFIG_PATH": f"{self._system_config}:{directory}/asound.conf",
            "PULSE_SERVER": f"unix:{directory}/native",
            "PULSE_CLIENTCONFIG": f"{directory}/client.conf",
            "PULSE_RUNTIME_PATH": str(directory),
        }

    def play(self, wav: Path) -> subprocess.Popen[bytes]:
        """Play the file `wav` into the microphone from now on; `wait()` on it for its end.

        Anything that libsndfile reads; several are mixed.
        """
        self._here()
        player = subprocess.Popen(
            ["paplay", f"--latency-msec={_PLAY_LATENCY_MS}", f"--device={_SINK}", str(wav)],
            env=os.environ | self.environment(),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._players.append(player)
        return player

    def stop(self) -> None:
        """End the players and the server, remove the directory. May be called twice."""
        servers = [self._server] if self._server else []
        for process in [*self._players, *servers]:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._players, self._server = [], None
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def __enter__(self) -> NullSinkMicrophone:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.stop()

    def _here(self) -> Path:
        if self._directory is None:
            raise RuntimeError("the demo microphone was not started")
        return self._directory

    def _configure(self, directory: Path) -> None:
        path = directory / "native"
        if len(os.fsencode(path)) > _SOCKET_PATH_MAX:
            raise SourceError(f"demo microphone: {path} is too long for a socket; set TMPDIR=/tmp")
        asound = _ASOUND.format(device=DEVICE, socket=path, sink=_SINK)
        (directory / "asound.conf").write_text(asound)
        (directory / "client.conf").write_text(_CLIENT.format(directory=directory))

    def _launch(self, directory: Path) -> subprocess.Popen[bytes]:
        sink = f"sink_name={_SINK} format=s16le rate={RATE} channels=1 norewinds=1"
        # The protocol is loaded last: once its socket is there, the sink is.
        protocol = f"socket={directory}/native auth-anonymous=1"
        modules = [f"module-null-sink {sink}", f"module-native-protocol-unix {protocol}"]
        command = [*_SERVER, *(f"--load={module}" for module in modules)]
        private = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(directory),
            "PULSE_RUNTIME_PATH": str(directory),
            "PULSE_STATE_PATH": str(directory),
        }
        with (directory / "log").open("wb") as log:
            return subprocess.Popen(
                command,
                env=private,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the demo, which stops things in order
            )

    def _await(self, server: subprocess.Popen[bytes]) -> None:
        directory, deadline = self._here(), time.monotonic() + _START_S
        while time.monotonic() < deadline and server.poll() is None:
            with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
                if probe.connect_ex(str(directory / "native")) == 0:
                    return
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(0.02)
        said = (directory / "log").read_text(errors="replace").strip().splitlines()
        raise SourceError(f"demo microphone: pulseaudio does not start: {(said or ['?'])[-1]}")


def _check_installed() -> None:
    missing = [
        package
        for package, is_there in (
            ("pulseaudio", shutil.which("pulseaudio")),
            ("pulseaudio-utils", shutil.which("paplay")),
            ("libasound2-plugins", any(_plugins())),
        )
        if not is_there
    ]
    if missing:
        raise SourceError(
            f"demo microphone: {', '.join(missing)} missing; "
            f"sudo apt-get install {' '.join(missing)}"
        )


def _plugins() -> list[Path]:
    return [path for place in _PLUGIN_PLACES for path in Path("/").glob(f"{place}/{_PLUGIN}")]
