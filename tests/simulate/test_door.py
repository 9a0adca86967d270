"""Who may come in: keys, single-use tokens and where they are minted, and what HTTP answers."""

from __future__ import annotations

import itertools
import json
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.simulate import faults
from scribed.simulate.admission import TOKEN_S, Admission
from scribed.simulate.door import Door
from scribed.simulate.posts import LIMIT, Answer, Post, PostReader

REALTIME = "/v1/speech-to-text/realtime"
OPENMIND = "/api/core/elevenlabs/asr"
MINT = "/v1/single-use-token/realtime_scribe"


def door(key: str | None = "right", *wrong: str, http: bool = False) -> Door:
    on = faults.Faults([faults.parse(fault) for fault in wrong])
    on.begin(0.0)
    return Door(key, refuse_with_http=http, faults=on)


def knock(at: Door, url: str, key: str | None = None, now: float = 0.0) -> bool | Answer:
    return at.knock(urlsplit(url), {} if key is None else {"xi-api-key": key}, now)


def mint(at: Door, key: str | None = "right", path: str = MINT, now: float = 0.0) -> Answer:
    return at.answer_post(Post(path, {} if key is None else {"xi-api-key": key}), now)


def token(at: Door, now: float = 0.0) -> str:
    return str(json.loads(mint(at, now=now).body)["token"])


def test_any_key_that_is_not_empty_opens_the_door_unless_one_is_set() -> None:
    assert knock(door(None), REALTIME, "anything") is True
    assert knock(door(None), REALTIME) is False
    assert knock(door(None), REALTIME, "") is False
    assert knock(door("right"), REALTIME, "right") is True
    assert knock(door("right"), REALTIME, "wrong") is False


def test_a_token_opens_one_session_and_goes_before_the_key() -> None:
    at = door()
    bought = token(at)
    assert bought.startswith("sutkn_")
    assert knock(at, f"{REALTIME}?token={bought}") is True
    assert knock(at, f"{REALTIME}?token={bought}", "right") is False


def test_a_token_lives_for_15_minutes() -> None:
    at = door()
    first, second = token(at, now=100.0), token(at, now=100.0)
    assert TOKEN_S == 900
    assert knock(at, f"{REALTIME}?token={first}", now=1000.0) is True
    assert knock(at, f"{REALTIME}?token={second}", now=1000.1) is False


def test_a_token_that_was_not_minted_here_is_good_once_where_any_key_is() -> None:
    at = door(None)
    assert knock(at, f"{REALTIME}?token=sutkn_1") is True
    assert knock(at, f"{REALTIME}?token=sutkn_1") is False
    assert knock(door("right"), f"{REALTIME}?token=right") is False


def test_a_token_for_something_else_opens_nothing() -> None:
    at = door()
    bought = json.loads(mint(at, path="/v1/single-use-token/tts_websocket").body)["token"]
    assert knock(at, f"{REALTIME}?token={bought}") is False


@pytest.mark.parametrize("key", [None, "", "wrong"])
def test_tokens_are_minted_for_a_good_key_only(key: str | None) -> None:
    answer = mint(door(), key)
    assert answer.status == 401
    assert json.loads(answer.body)["detail"]["status"] == "invalid_api_key"


def test_other_paths_and_methods_are_told_so() -> None:
    refused = [knock(door(), "/v1/stt", "right"), knock(door(), MINT, "right")]
    assert [answer.status for answer in refused if isinstance(answer, Answer)] == [404, 405]
    assert mint(door(), path="/v1/single-use-token/unknown").status == 404


def test_a_refused_key_may_be_http_401_and_openmind_knows_nothing_else() -> None:
    elevenlabs = knock(door(http=True), REALTIME, "wrong")
    openmind = knock(door(), f"{OPENMIND}?api_key=wrong")
    missing = knock(door(), OPENMIND)
    assert isinstance(elevenlabs, Answer)
    assert isinstance(openmind, Answer)
    assert isinstance(missing, Answer)
    assert {elevenlabs.status, openmind.status, missing.status} == {401}
    assert "detail" in json.loads(elevenlabs.body)
    assert json.loads(openmind.body)["error"].startswith("Invalid API key")
    assert json.loads(missing.body)["error"].startswith("Missing API key")
    assert knock(door(), f"{OPENMIND}?api_key=right") is True


def test_a_fault_answers_in_the_dialects_words_and_spends_no_token() -> None:
    on = faults.Faults([faults.parse("http-429=30")])
    on.begin(0.0)
    at = Door(None, refuse_with_http=False, faults=on)
    bought = token(at)
    busy = knock(at, f"{REALTIME}?token={bought}")
    assert isinstance(busy, Answer)
    assert (busy.status, busy.retry_after_s) == (429, 30.0)
    assert "too_many_concurrent_requests" in busy.body
    proxy = knock(at, f"{OPENMIND}?api_key=k")
    assert isinstance(proxy, Answer)
    assert "error" in json.loads(proxy.body)
    on.clear()
    assert knock(at, f"{REALTIME}?token={bought}") is True


def test_minting_has_a_fault_of_its_own() -> None:
    assert mint(door("right", "mint-503=7")).retry_after_s == 7
    assert knock(door("right", "mint-503"), REALTIME, "right") is True


def test_an_answer_is_complete_http() -> None:
    head, _, body = (
        Answer(429, "application/json", "{}", retry_after_s=5).encode().partition(b"\r\n\r\n")
    )
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 429 Too Many Requests",
        b"Content-Type: application/json",
        b"Content-Length: 2",
        b"Connection: close",
        b"Retry-After: 5",
    ]
    assert body == b"{}"


REQUEST = (
    b"POST /v1/single-use-token/realtime_scribe HTTP/1.1\r\nHost: x\r\nXI-API-KEY: k\r\n"
    b"Content-Length: 2\r\n\r\n{}"
)


@given(st.lists(st.integers(0, len(REQUEST)), max_size=5))
def test_a_request_may_come_in_any_pieces(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(REQUEST)]
    reader = PostReader()
    answers = [reader.feed(REQUEST[a:b]) for a, b in itertools.pairwise(edges)]
    posts = [post for post in answers if post is not None]
    assert posts[0] == Post(MINT, {"host": "x", "xi-api-key": "k", "content-length": "2"})


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /x\r\n\r\n",
        b"POST /x HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /" + b"x" * LIMIT,
    ],
)
def test_a_request_that_cannot_be_read_is_an_error(request_bytes: bytes) -> None:
    with pytest.raises(ValueError, match=r"request|invalid literal"):
        PostReader().feed(request_bytes)


@given(st.lists(st.text(max_size=8), max_size=30), st.floats(0, 2000))
def test_a_made_up_token_never_opens_a_door_with_a_key(tokens: list[str], now: float) -> None:
    admission = Admission("right")
    minted = admission.mint("realtime_scribe", 0.0)
    assert not any(admission.spend(made_up, now) for made_up in tokens)
    assert admission.spend(minted, now) is (now <= TOKEN_S)
    assert not admission.spend(minted, now)
