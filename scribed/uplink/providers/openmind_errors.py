"""What errors, refusals and closes of OpenMind's proxy ask of us.

Its errors are for humans: they have a text and no code, so that the text is searched for words.

Facts: OpenMind's API reference, the texts known of it and of Google's recogniser behind it, 2026.
"""

from __future__ import annotations

import re

from scribed.errors import Remedy
from scribed.uplink.providers.elevenlabs_messages import CLOSES, Refusal, refusal_of_status
from scribed.uplink.providers.openmind_messages import MAX_SEARCHED

_RATE = (
    r"rate.?limit|too many|per (second|minute)|resource.?exhausted|concurren|try again later"
    r"|connections?.{0,20} limit|\b429\b"
)
_AUTH = r"api[ _-]?key|unauthori[sz]ed|unauthenticated|authenticat|forbidden|denied|\b40[13]\b"
_QUOTA = r"balance|quota|credit|payment|billing|subscription|omcu|\b402\b"
_FLOODED = r"buffer (is )?full|queue (is )?full|overload|too fast|faster than"
_QUIET = (
    r"without audio|audio.?timeout|no (audio|speech|activity)|silence|inactiv|idle"
    r"|(session|stream)\b.{0,40}\b(limit|expired|too long|duration)"
    r"|max\w*\b.{0,20}duration"
)
_MALFORMED = r"invalid message|audio.{0,3} field|failed to decode|malformed|not valid json|base64"
_MISCONFIGURED = (
    r"(invalid|unsupported|unknown)\b.{0,30}(language|sample.?rate|model)"
    r"|(language|sample.?rate|model)\b.{0,60}(invalid|unsupported|unknown|not supported)"
)

_REMEDIES = tuple(
    (re.compile(pattern, re.IGNORECASE), refusal)
    for pattern, refusal in (
        (_RATE, Refusal(Remedy.COOL_DOWN)),
        (_AUTH, Refusal(Remedy.REFUSED, "auth_failed")),
        (_QUOTA, Refusal(Remedy.REFUSED, "quota")),
        (_FLOODED, Refusal(Remedy.BACK_OFF, overloaded=True)),
        (_QUIET, Refusal(Remedy.RECONNECT)),
        (_MALFORMED, Refusal(Remedy.BACK_OFF, blames=True)),
        (_MISCONFIGURED, Refusal(Remedy.REFUSED, "backend_down")),
    )
)
"""By words in the text of an error, the first that fits."""


def refusal_of_text(text: str) -> Refusal | None:
    """What an error in these words asks of us; None: nobody knows, and it may go on."""
    text = text[:MAX_SEARCHED]
    return next((refusal for pattern, refusal in _REMEDIES if pattern.search(text)), None)


def refusal_of_upgrade(status: int, said: str, *, may_retry: bool) -> Refusal:
    """What an upgrade refused with HTTP `status` asks of us; `may_retry`: it said when."""
    by_status = refusal_of_status(status, may_retry=may_retry)
    if by_status.alert == "backend_down":  # 400 and the like: the words may say more
        by_text = refusal_of_text(said)
        if by_text is not None and by_text.remedy in (Remedy.REFUSED, Remedy.COOL_DOWN):
            return by_text
    return by_status


def refusal_of_close(code: int | None, reason: str, *, busy: bool) -> Refusal:
    """What a close asks of us; `busy`: an utterance has not got its text.

    The service closes after silence, with a code that no document tells: without work for it any
    close is an ordinary end.
    """
    by_text = refusal_of_text(reason)
    if code == 1008:
        policy = Refusal(Remedy.REFUSED, "auth_failed")
        return by_text if by_text is not None and by_text.alert is not None else policy
    if by_text is not None:
        return by_text
    if code in CLOSES:
        return CLOSES[code]
    ordinary = not busy or code in (1000, 1001)
    return Refusal(Remedy.RECONNECT if ordinary else Remedy.BACK_OFF)
