"""Words lost by gating: a recogniser hears real speech in noise with the gate, and without."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.gate.figures import through
from bench.gate.peers import hear
from bench.gate.rooms import FRAME, RATE, Voices, in_noise
from scribed.simulate.recognizers.pocketsphinx import START_CMN, load

SNRS_DB, NOISES, TAKES = (20, 10), ("white", "fan", "servo"), 2
BEFORE_S, AFTER_S = 4, 2
"""Noise around each recording, that the gate hears and the recogniser without it does not."""
BARE = "without a gate"
ROOMY_S = 0.5
ROOMY = f"without a gate, {ROOMY_S} s of noise before and behind"
"""As much as a gate has of it: what the recogniser makes of that is no word lost."""


def spoken_words(directory: Path) -> dict[str, list[str]]:
    """The words of each recording, from the table of `directory`'s README."""
    table = (directory / "README.md").read_text("utf-8").splitlines()
    rows = [line.strip("|").split("|") for line in table if line.startswith("|")]
    named = {row[0].strip(): row[1].split() for row in rows}
    return {name: said for name, said in named.items() if (directory / f"{name}.wav").exists()}


def word_errors(
    voices: Voices, words: dict[str, list[str]], engines: Sequence[str], seed: int
) -> dict[str, dict[int, float]]:
    """Word error rates in per cent by engine, and without a gate, and by signal to noise ratio."""
    decoder = load()
    cases = [
        (name, snr_db, _between(voices, name, noise, snr_db, seed + take))
        for take in range(TAKES)
        for snr_db in SNRS_DB
        for noise in NOISES
        for name in words
    ]
    rates = {
        name: _rates(words, [(n, snr, [_inner(pcm, more)]) for n, snr, pcm in cases], decoder)
        for name, more in ((BARE, 0.0), (ROOMY, ROOMY_S))
    }
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        for n, (_, _, pcm) in enumerate(cases):
            paths.append(Path(directory) / f"{n}.pcm")
            paths[-1].write_bytes(pcm)
        for engine in engines:
            heard = hear(engine, paths)
            if heard.absent:
                continue
            cut = []
            for (name, snr_db, pcm), says in zip(cases, heard.says, strict=True):
                voiced = np.frombuffer(says.encode(), "u1") == ord("1")
                spans = through(engine, voiced)
                cut.append((name, snr_db, [pcm[a * FRAME * 2 : b * FRAME * 2] for a, b in spans]))
            rates[engine] = _rates(words, cut, decoder)
    return rates


def _rates(
    words: dict[str, list[str]], cut: list[tuple[str, int, list[bytes]]], decoder: Any
) -> dict[int, float]:
    errors, spoken = dict.fromkeys(SNRS_DB, 0), dict.fromkeys(SNRS_DB, 0)
    for name, snr_db, utterances in cut:
        recognised = [word for pcm in utterances for word in _recognise(decoder, pcm)]
        errors[snr_db] += distance(words[name], recognised)
        spoken[snr_db] += len(words[name])
    return {snr_db: 100 * errors[snr_db] / spoken[snr_db] for snr_db in SNRS_DB}


def distance(said: Sequence[str], recognised: Sequence[str]) -> int:
    """Words to replace, insert or leave out."""
    row = list(range(len(recognised) + 1))
    for n, word in enumerate(said, 1):
        previous, row[0] = row[0], n
        for m, other in enumerate(recognised, 1):
            previous, row[m] = row[m], min(row[m] + 1, row[m - 1] + 1, previous + (word != other))
    return row[-1]


def _recognise(decoder: Any, pcm: bytes) -> list[str]:
    decoder.reinit_feat()  # the order must not matter
    decoder.set_cmn(START_CMN)
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return hypothesis.hypstr.split() if hypothesis else []


def _between(voices: Voices, name: str, noise: str, snr_db: int, seed: int) -> bytes:
    voice = voices.recorded[name]
    clean = np.concatenate([np.zeros(BEFORE_S * RATE), voice, np.zeros(AFTER_S * RATE)])
    return in_noise(clean, noise, snr_db, voices, seed)


def _inner(pcm: bytes, more_s: float) -> bytes:
    more = round(more_s * RATE) * 2
    return pcm[BEFORE_S * RATE * 2 - more : more - AFTER_S * RATE * 2]
