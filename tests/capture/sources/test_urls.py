"""What may be told of a URL, and what ffmpeg may open for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scribed.capture.sources import urls
from scribed.config import Audio
from scribed.errors import SourceError

SECRET = "http://robot:s3cret-p%40ss@radio.example:8000/live/one.mp3?token=abc123&x=1#frag"


def protocols(path: str) -> list[str]:
    command = urls.command(urls.address(path), Audio(path=path), timeout_s=15)
    return command[command.index("-protocol_whitelist") + 1].split(",")


def test_user_password_query_and_fragment_are_not_shown() -> None:
    assert urls.shown(SECRET) == "http://radio.example:8000/live/one.mp3"
    assert urls.address(SECRET).shown == "http://radio.example:8000/live/one.mp3"


def test_an_address_has_no_repr_of_its_secrets() -> None:
    assert "s3cret" not in repr(urls.address(SECRET))
    assert "abc123" not in repr(urls.address(SECRET))


@pytest.mark.parametrize(
    "said",
    [
        f"{SECRET}: Server returned 404 Not Found",
        "Opening 'https://robot:s3cret-p%40ss@other.example/a.ts?token=abc123' for reading",
        "the password s3cret-p@ss is wrong",
        "Authorization failed for robot:s3cret-p%40ss",
    ],
)
def test_what_ffmpeg_says_is_scrubbed(said: str) -> None:
    scrubbed = urls.scrubbed(said, urls.address(SECRET))
    for secret in ("s3cret", "abc123", "p@ss", "p%40ss"):
        assert secret not in scrubbed


@given(
    st.from_regex(r"[A-Za-z0-9!$&+=;,%~_-]{3,20}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9!$&+=;,%~_:/?-]{3,20}", fullmatch=True),
)
def test_no_password_and_no_token_is_ever_shown(password: str, token: str) -> None:
    url = f"rtsp://u5er:{password}@camera/stream?auth={token}"
    assert urls.shown(url) == "rtsp://camera/stream"
    assert urls.scrubbed(f"{url}: no", urls.address(url)) == "rtsp://camera/stream: no"


def test_a_file_may_open_files_only_whatever_it_names() -> None:
    assert protocols("talk.mp3") == ["file"]


@pytest.mark.parametrize("name", ["http:talk.mp3", "concat:a|b", "-y", "pipe:0", "data:,x", "a:b"])
def test_the_name_of_a_file_is_never_taken_for_a_protocol(name: str) -> None:
    address = urls.address(name)
    assert (address.url, address.path) == (f"file:{name}", name)


def test_a_file_may_be_named_by_a_url() -> None:
    assert urls.address("file:///tmp/a%20b.mp3").path == "/tmp/a b.mp3"


@pytest.mark.parametrize("scheme", urls.PROTOCOLS)
def test_a_url_opens_no_file_of_this_machine(scheme: str) -> None:
    allowed = protocols(f"{scheme}://host/x")
    assert allowed[0] == scheme
    assert not {"file", "pipe", "concat", "subfile", "fd", "unix"} & set(allowed)


def test_from_https_nothing_leads_back_to_plain_http() -> None:
    assert "http" not in protocols("https://host/x")


@pytest.mark.parametrize("scheme", ["gopher", "concatf", "smb", "lavfi", "x-crypto"])
def test_a_scheme_that_nobody_asked_for_is_refused(scheme: str) -> None:
    with pytest.raises(SourceError, match=rf'audio.path: "{scheme}://" is nothing .* http, https'):
        urls.address(f"{scheme}://u:pass@host/x")


def test_one_channel_is_picked_and_all_are_mixed() -> None:
    address = urls.address("a.wav")
    picked = urls.command(address, Audio(channel=1), timeout_s=1)
    assert "pan=mono|c0=c1" in picked
    assert "-ac" not in picked
    assert "-ac" in urls.command(address, Audio(), timeout_s=1)


def test_any_url_may_be_a_stream_and_a_file_is_none() -> None:
    assert urls.is_stream("https://host/a.mp3")
    assert urls.is_stream("rtsp://host/a")
    assert not urls.is_stream("file:///a.mp3")
    assert not urls.is_stream("a.mp3")
