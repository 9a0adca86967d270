"""CMU PocketSphinx with the English model of its own wheel: no key, no network, real word times."""

from __future__ import annotations

import contextlib
import math
import queue
import re
from typing import Any

from scribed.errors import ScribedError
from scribed.simulate.recognizers import BYTES_PER_S, Answer, Word

try:
    import pocketsphinx
except ImportError as error:
    raise ScribedError(
        "the recognizer pocketsphinx is not installed; install scribed[simulate] "
        "(pip install 'scribed[simulate]'), or use --recognizer script"
    ) from error

FRAMES_PER_S = 100  # of the decoder's word times
SLICE_BYTES = BYTES_PER_S // 10  # a call into the decoder keeps the GIL: 100 ms cost 7 ms
IDLE_LIMIT = 2  # decoders kept for the next session: loading one takes 0.4 s and 95 MB

# The cepstral mean that a session starts from. The model's own (40,3,-1,0…) fits none of the voices
# we tried; this is the average over four flite voices and seven recordings of people, and takes
# "go forward ten years" back to "ten meters". From then on each session follows its own speaker.
START_CMN = "45.41,3.31,-3.06,11.52,-8.46,1.28,-3.61,-3.79,0.34,-2.25,2.18,-0.38,0.51"

FILLER = re.compile(r"^[<\[+]")  # <s>, <sil>, [NOISE], ++BREATH++
VARIANT = re.compile(r"\(\d+\)$")  # the second pronunciation of "the" is "the(2)"


class PocketSphinx:
    """Makes recognisers, and keeps a few loaded decoders between sessions.

    Loads one at once, so that the first session does not wait for it. Raises `ScribedError`
    where the model cannot be loaded.
    """

    def __init__(self) -> None:
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue(IDLE_LIMIT)
        self._idle.put(load())

    def __call__(self) -> PocketSphinxRecognizer:
        try:
            decoder = self._idle.get_nowait()
        except queue.Empty:
            decoder = load()
        return PocketSphinxRecognizer(decoder, self)

    def give_back(self, decoder: Any) -> None:
        """Keep `decoder` for the next session, if there is room."""
        with contextlib.suppress(queue.Full):
            self._idle.put_nowait(decoder)


def load() -> Any:
    """Load the wheel's English model. Raises `ScribedError`."""
    try:
        # fwdflat is a second pass over the whole utterance when it ends, in one call that keeps
        # the GIL (23 ms per second of speech), and made 7 more words wrong out of 96. The two
        # limits on the search save four tenths of the time for one word out of 96.
        return pocketsphinx.Decoder(loglevel="FATAL", fwdflat=False, maxhmmpf=5000, maxwpf=20)
    except (RuntimeError, ValueError) as error:
        raise ScribedError(
            f"pocketsphinx cannot load its English model ({error}); reinstall pocketsphinx"
        ) from error


class PocketSphinxRecognizer:
    """A `Recognizer` that decodes while audio arrives: a commit only reads the result."""

    def __init__(self, decoder: Any, owner: PocketSphinx) -> None:
        self._decoder, self._owner = decoder, owner
        self._open = False
        decoder.reinit_feat()  # the last session's noise estimate, which set_cmn leaves
        decoder.set_cmn(START_CMN)

    def feed(self, pcm: bytes) -> None:
        if not self._open:
            self._decoder.start_utt()
            self._open = True
        for start in range(0, len(pcm), SLICE_BYTES):
            self._decoder.process_raw(pcm[start : start + SLICE_BYTES])

    def partial(self) -> str:
        hypothesis = self._decoder.hyp() if self._open else None
        return hypothesis.hypstr if hypothesis else ""

    def commit(self) -> Answer:
        if not self._open:
            return Answer("")
        self._decoder.end_utt()
        self._open = False
        words = tuple(word(s) for s in self._decoder.seg() or () if not FILLER.match(s.word))
        return Answer(" ".join(w.text for w in words), words)

    def close(self) -> None:
        if self._open:
            self._decoder.end_utt()
            self._open = False
        self._owner.give_back(self._decoder)


def word(segment: Any) -> Word:
    return Word(
        VARIANT.sub("", segment.word),
        segment.start_frame / FRAMES_PER_S,
        (segment.end_frame + 1) / FRAMES_PER_S,
        min(0.0, math.log(max(segment.prob, 1e-9))),
    )
