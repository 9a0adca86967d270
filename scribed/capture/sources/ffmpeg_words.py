"""What ffmpeg says on its stderr, with `-loglevel repeat+level+info`, of versions 4.4 to 7; pure.

Kept is only what matters: what the input is, and the last complaint that explains something.
"""

from __future__ import annotations

import re

LINE_BYTES = 4096
"""A longer line is cut: titles and tags of a stream are its sender's own words."""
_LEVEL = re.compile(r"^(?:\[[^\]]* @ [^\]]*\] )*\[(\w+)\] ?(.*)$")
_DURATION = re.compile(r"^\s+Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")
_SOUND = re.compile(r"^\s+Stream #0:\d+\S*: Audio: .*?, (\d+) Hz, ([^,]+)")
_RADIO = re.compile(r"^\s+icy-[\w-]+\s*:", re.IGNORECASE)
_CHANNELS = re.compile(r"^(\d+) channels")
_SAYS_NOTHING = (
    "Conversion failed",
    "Error opening input file",
    "Error opening output file",
    "Error while decoding",
    "Error submitting packet to decoder",
    "Failed to read frame size",
    "Nothing was written into output file",
)
"""How complaints begin that only follow from the one before."""
_VAGUE = ("Invalid data found", "Invalid argument")
_ENDLESS = str(2**64 - 1)
"""The length of a stream that has none: that it ends before is no complaint."""
_LAYOUTS = {"mono": 1, "stereo": 2, "2.1": 3, "quad": 4, "5.0": 5, "5.1": 6, "7.1": 8}
_MEANINGS = (
    ("matches no streams", "there is no sound in it"),
    ("Invalid data found when processing input", "that is no sound that ffmpeg knows, or damaged"),
    ("Invalid argument", "that is no sound that ffmpeg knows, or damaged"),
    ("does not contain any stream", "there is no sound in it"),
    ("moov atom not found", "it is cut off: the index at its end is missing"),
)


class Words:
    """ffmpeg's stderr so far; `url` is what it was told to read."""

    def __init__(self, url: str) -> None:
        self.duration_s: float | None = None  #: of the input; None: it has no end, or nobody knows
        self.rate: int | None = None  #: of the sound, as it comes
        self.channels: int | None = None
        self.is_radio = False  #: it calls itself a broadcast
        self.broke_off = False  #: reading failed before the end
        self.complaint = ""  #: the last one
        self._url = url
        self._line = b""
        self._was_endless = False  # and ended
        self._in_output = False

    def feed(self, raw: bytes) -> None:
        """Take what came, in pieces of any size."""
        *lines, self._line = (self._line + raw).split(b"\n")
        self._line = self._line[:LINE_BYTES]
        for line in lines:
            self._take(line[:LINE_BYTES].decode("utf-8", "replace").rstrip())

    def why(self) -> str:
        """The complaint in words for people; empty: there was none."""
        for said, meaning in _MEANINGS:
            if said in self.complaint:
                return meaning
        return self.complaint

    def _take(self, line: str) -> None:
        match = _LEVEL.match(line)
        if match is None:
            return
        level, text = match[1], match[2]
        if level in ("error", "fatal", "panic"):
            self._complain(text.strip())
        elif text.startswith("Will reconnect"):
            self.broke_off, self.complaint = False, ""
        elif text.startswith("Output #0"):
            self._in_output = True
        elif not self._in_output:
            self._describe(text)

    def _describe(self, text: str) -> None:
        if match := _DURATION.match(text):
            self.duration_s = int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])
        elif _RADIO.match(text):
            self.is_radio = True
        elif self.rate is None and (match := _SOUND.match(text)):
            self.rate, self.channels = int(match[1]), _channels(match[2].strip())

    def _complain(self, text: str) -> None:
        if "ends prematurely" in text:
            self._was_endless = _ENDLESS in text
            if not self._was_endless:
                self.broke_off, self.complaint = True, "the connection ended before the sound"
            return
        if self._was_endless and text.endswith("Input/output error"):
            return
        read = text.removeprefix(f"{self._url}: ")
        read = read.removeprefix("Error during demuxing: ")
        if read != text:
            keep = self.broke_off or (read.startswith(_VAGUE) and "moov atom" in self.complaint)
            self.complaint = self.complaint if keep else read
            self.broke_off = True
        elif text and not text.startswith(_SAYS_NOTHING):
            self.complaint = text.removeprefix("Error opening input: ")


def _channels(layout: str) -> int | None:
    if match := _CHANNELS.match(layout):
        return int(match[1])
    return _LAYOUTS.get(layout.partition("(")[0])
