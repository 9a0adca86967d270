"""ULIDs: ids that sort by time, as the specification writes them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scribed.ulid import ALPHABET, ulid

times = st.integers(0, 2**48 - 1)
entropies = st.binary(min_size=10, max_size=10)


def decoded(text: str) -> int:
    number = 0
    for char in text:
        number = number << 5 | ALPHABET.index(char)
    return number


def test_the_time_of_the_specifications_example_comes_out_as_it_says() -> None:
    # https://github.com/ulid/spec: ulid(1469918176385) has the time 01ARYZ6S41
    assert ulid(1469918176385, bytes(10)) == "01ARYZ6S410000000000000000"


def test_the_smallest_and_the_largest() -> None:
    assert ulid(0, bytes(10)) == "0" * 26
    assert ulid(2**48 - 1, b"\xff" * 10) == "7" + "Z" * 25


def test_the_alphabet_is_crockfords() -> None:
    left = set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") - set("ILOU")
    assert list(ALPHABET) == sorted(left)


@given(times, entropies)
def test_time_and_entropy_are_both_in_it(unix_ms: int, entropy: bytes) -> None:
    text = ulid(unix_ms, entropy)
    assert len(text) == 26
    assert decoded(text) == unix_ms << 80 | int.from_bytes(entropy, "big")


@given(times, times, entropies, entropies)
def test_ids_sort_as_their_times_do(a: int, b: int, one: bytes, other: bytes) -> None:
    if a != b:
        assert (ulid(a, one) < ulid(b, other)) == (a < b)


@given(st.integers(), entropies)
def test_a_clock_that_is_mad_still_gives_an_id(unix_ms: int, entropy: bytes) -> None:
    assert len(ulid(unix_ms, entropy)) == 26


@given(times, st.binary(min_size=11, max_size=20))
def test_entropy_beyond_10_bytes_is_left_out(unix_ms: int, entropy: bytes) -> None:
    assert ulid(unix_ms, entropy) == ulid(unix_ms, entropy[:10])
