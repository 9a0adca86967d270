"""What ffmpeg may be asked to read, through which of its protocols, and how; pure.

A URL may carry a user, a password or a token: `Address.shown` is what may be told of it.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from scribed.config import Audio
from scribed.errors import SourceError
from scribed.items import without
from scribed.model import RATE

PROTOCOLS = {
    "http": ("http", "https", "httpproxy", "tls", "tcp", "crypto", "data"),
    "https": ("https", "httpproxy", "tls", "tcp", "crypto", "data"),
    "rtsp": ("rtsp", "rtp", "srtp", "udp", "tcp"),
    "rtsps": ("rtsps", "rtp", "srtp", "udp", "tls", "tcp"),
    "rtmp": ("rtmp", "tcp"),
    "rtmps": ("rtmps", "tls", "tcp"),
    "rtp": ("rtp", "udp"),
    "srt": ("srt",),
    "udp": ("udp",),
    "tcp": ("tcp",),
    "ftp": ("ftp", "tcp"),
}
"""Which of ffmpeg's protocols each scheme needs, itself included: whatever a redirect or a playlist
names, nothing else is opened, no file of this machine least of all. From https nothing leads back
to what is not encrypted."""
_RUNS_ITSELF = frozenset(("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "udp", "tcp"))
"""Schemes of what goes on without us; the others may be a download as well."""
_TIMES_OUT = frozenset(("http", "https", "ftp", "tcp", "rtmp", "rtmps"))
"""Where ffmpeg knows `-rw_timeout`."""
_GOES_ON = ("-reconnect", "1", "-reconnect_delay_max", "4")
"""A download that breaks off goes on where it was, if the server can do that."""
_LOOKS_BRIEFLY = ("-analyzeduration", "1000000")
"""One second of a stream, instead of five, before it is decoded: that is enough to find sound."""
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_ANY_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
_HIDDEN = "***"
_SHORTEST_SECRET = 3
"""A password of one or two characters would blacken half of a message."""


class Address(Struct, frozen=True):
    """A file or a URL that ffmpeg may read; has no repr of what it may hold."""

    url: str  #: as ffmpeg takes it
    shown: str  #: without user, password, query and fragment
    path: str | None  #: of a file of this machine
    protocols: tuple[str, ...]
    secrets: tuple[str, ...] = ()
    runs_itself: bool = False  #: a stream, whatever is found in it
    times_out: bool = False  #: ffmpeg itself gives a silent peer up

    __repr__ = without("url", "secrets")


def address(path: str) -> Address:
    """What `audio.path` names: raises `SourceError` where nobody knows its scheme."""
    match = _URL.match(path)
    scheme = match[1].lower() if match else "file"
    if scheme == "file":
        local = unquote(urlsplit(path).path) if match else path
        return Address(f"file:{local}", local, local, ("file",))
    if scheme not in PROTOCOLS:
        raise SourceError(
            f'audio.path: "{scheme}://" is nothing that scribed hands to ffmpeg; '
            f"it takes a file, or one of {', '.join(PROTOCOLS)}"
        )
    return Address(
        path,
        shown(path),
        None,
        PROTOCOLS[scheme],
        _secrets(path),
        runs_itself=scheme in _RUNS_ITSELF,
        times_out=scheme in _TIMES_OUT,
    )


STDIN = Address("pipe:0", "standard input", None, ("pipe",))
"""What somebody pipes into us."""


def is_stream(path: str) -> bool:
    """Whether `audio.path` may be a stream, which is worth another try when it ends or is not there
    yet: any URL but that of a file."""
    match = _URL.match(path)
    return match is not None and match[1].lower() != "file"


def shown(url: str) -> str:
    """`url` without what is nobody's business: user and password, query, fragment."""
    head, divider, rest = url.partition("://")
    host, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return head + divider + host.rpartition("@")[2] + slash + path


def scrubbed(text: str, address: Address) -> str:
    """`text` of ffmpeg's with no more of any URL in it than may be shown."""
    text = text.replace(address.url, address.shown)
    text = _ANY_URL.sub(lambda match: shown(match[0]), text)
    for secret in address.secrets:
        text = text.replace(secret, _HIDDEN)
    return text


def command(address: Address, audio: Audio, *, timeout_s: float) -> list[str]:
    """ffmpeg's command line: the first sound of `address` as s16le, 16 kHz mono, on stdout.

    A URL stands in it as it is, since ffmpeg takes it nowhere else: on a machine without hidepid
    other users may read it while ffmpeg runs.
    """
    words = ["ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", "repeat+level+info"]
    words += ["-protocol_whitelist", ",".join(address.protocols)]
    if address.times_out:
        words += ["-rw_timeout", str(round(timeout_s * 1e6))]
    if address.protocols[0] in ("http", "https"):
        words += _GOES_ON
    if audio.pace == "realtime" and address.path is None:
        words += _LOOKS_BRIEFLY
    words += ["-i", address.url, "-map", "0:a:0", "-map_metadata", "-1"]
    if isinstance(audio.channel, int):
        words += ["-af", f"pan=mono|c0=c{audio.channel}"]
    else:
        words += ["-ac", "1"]
    if audio.pace == "realtime":  # else half a second waits in ffmpeg's own buffer
        words += ["-flush_packets", "1"]
    return [*words, "-ar", str(RATE), "-c:a", "pcm_s16le", "-f", "s16le", "pipe:1"]


def _secrets(url: str) -> tuple[str, ...]:
    rest = url.partition("://")[2]
    user = rest.partition("/")[0].rpartition("@")[0]
    query = rest.partition("?")[2]
    parts = [user, user.partition(":")[2], query]
    parts += [each.partition("=")[2] for each in re.split("[&#]", query)]
    found = {form for part in parts for form in (part, unquote(part))}
    return tuple(sorted((s for s in found if len(s) >= _SHORTEST_SECRET), key=len, reverse=True))
