"""An utterance's file is a WAV for everybody, and bears being cut and damaged."""

from __future__ import annotations

import io
import json
import wave
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scribed.model import EndReason, RobotDid, UtteranceEnded, UtteranceId, UtteranceStarted
from scribed.store.wav import HEADER_BYTES, MAX_AUDIO_BYTES, Damaged, Meta, Newer, header, parse

ULID = "01JXAMPLE0000000000000000X"
BOOT = "b2c1a0f4-5f0e-4f9c-9b57-0c4b4f7b2a11"
PCM = bytes(range(200)) * 4

OPEN = Meta(
    UtteranceStarted(
        UtteranceId(ULID), 17, 123.456, -3.25, UtteranceId("01JXAMPLE00000000000000000")
    ),
    BOOT,
    1_790_000_000.125,
    True,
)
SEALED = replace(
    OPEN,
    ended=UtteranceEnded(UtteranceId(ULID), 123.48, EndReason.COMMIT, 20, 5, -23.5, 12.25),
    crc32=zlib.crc32(PCM),
    nbytes=len(PCM),
)

numbers = st.floats(allow_nan=False, allow_infinity=False)
ids = st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=26, max_size=26).map(UtteranceId)
counts = st.integers(0, 2**40)


@st.composite
def metas(draw: st.DrawFn) -> Meta:
    started = UtteranceStarted(
        draw(ids),
        draw(st.integers(1, 10**15)),
        draw(numbers),
        draw(numbers),
        draw(st.none() | ids),
        trigger=draw(st.sampled_from(["always", "listen"])),
    )
    meta = Meta(started, BOOT, draw(numbers), draw(st.none() | st.booleans()))
    if draw(st.booleans()):
        return meta
    ended = UtteranceEnded(
        started.id,
        draw(numbers),
        draw(st.sampled_from(EndReason)),
        draw(counts),
        draw(counts),
        draw(st.none() | numbers),
        draw(st.none() | numbers),
        RobotDid(draw(st.none() | st.booleans()), draw(st.none() | st.booleans())),
    )
    nbytes = draw(st.integers(0, MAX_AUDIO_BYTES // 2)) * 2
    return replace(meta, ended=ended, crc32=draw(st.integers(0, 2**32 - 1)), nbytes=nbytes)


@given(metas())
def test_what_is_written_is_read(meta: Meta) -> None:
    assert len(header(meta)) == HEADER_BYTES
    assert parse(header(meta), HEADER_BYTES + meta.nbytes) == meta


def test_a_sealed_file_is_a_wav_for_every_program() -> None:
    with wave.open(io.BytesIO(header(SEALED) + PCM)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        assert file.readframes(10_000) == PCM


def test_an_open_file_holds_what_there_is_in_whole_samples() -> None:
    for nbytes in (0, 1, 2, 3, 800):
        meta = parse(header(OPEN), HEADER_BYTES + nbytes)
        assert meta == replace(OPEN, nbytes=nbytes // 2 * 2)


def test_a_sealed_file_that_was_cut_says_how_much_is_missing() -> None:
    meta = parse(header(SEALED), HEADER_BYTES + 101)
    assert (meta.nbytes, meta.missing) == (100, len(PCM) - 100)
    assert meta.ended == SEALED.ended


def test_a_sealed_file_ends_where_it_was_sealed() -> None:
    meta = parse(header(SEALED), HEADER_BYTES + len(PCM) + 4096)
    assert (meta.nbytes, meta.missing) == (len(PCM), 0)


def test_a_file_without_a_whole_header_is_damaged() -> None:
    for size in (0, 1, 43, 512, HEADER_BYTES - 1):
        with pytest.raises(Damaged, match=f"it has {size} bytes"):
            parse(header(SEALED)[:size], size)


def test_a_power_cut_between_the_sectors_of_the_seal_leaves_an_open_utterance() -> None:
    torn = header(SEALED)[:512] + header(OPEN)[512:]
    assert parse(torn, HEADER_BYTES + len(PCM)) == replace(OPEN, nbytes=len(PCM))
    torn = header(OPEN)[:512] + header(SEALED)[512:]
    assert parse(torn, HEADER_BYTES + len(PCM)) == SEALED


def test_no_flipped_bit_makes_another_utterance_of_it() -> None:
    whole = header(SEALED)
    for bit in range(8 * HEADER_BYTES):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        if 44 <= bit // 8 < 512:  # only the opening cannot be done without
            with pytest.raises(Damaged, match="checksum"):
                parse(bytes(flipped), HEADER_BYTES + len(PCM))
        else:
            meta = parse(bytes(flipped), HEADER_BYTES + len(PCM))
            assert meta in (SEALED, replace(OPEN, nbytes=len(PCM)))


@given(st.binary(max_size=2 * HEADER_BYTES), st.integers(0, 10**6))
def test_nonsense_is_damaged(first: bytes, size: int) -> None:
    with pytest.raises(Damaged):
        parse(first, size)


def _with_opening(fields: object) -> bytes:
    """A header whose opening says `fields`, with the right checksum."""
    text = json.dumps(fields).encode().ljust(459)
    return header(OPEN)[:44] + text + b"%08x\n" % zlib.crc32(text) + header(OPEN)[512:]


def test_a_file_of_a_later_version_is_told_from_a_damaged_one() -> None:
    with pytest.raises(Newer, match="later version"):
        parse(_with_opening({"v": 2, "id": {"may": "be anything"}}), 5000)


@pytest.mark.parametrize("fields", [{"v": 1}, {"v": "1"}, [], None, {"v": 1, "id": 7}])
def test_an_opening_that_lacks_something_is_damaged(fields: object) -> None:
    with pytest.raises(Damaged, match="cannot be read") as caught:
        parse(_with_opening(fields), 5000)
    assert not isinstance(caught.value, Newer)


def test_a_file_longer_than_any_utterance_is_damaged() -> None:
    with pytest.raises(Damaged, match="more than any utterance"):
        parse(header(OPEN), HEADER_BYTES + MAX_AUDIO_BYTES + 2)


def test_an_id_that_does_not_fit_is_refused() -> None:
    endless = replace(OPEN, boot_id="b" * 400)
    with pytest.raises(ValueError, match="takes"):
        header(endless)
