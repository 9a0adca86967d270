"""What is shown to others has no secret in it, in no form, and nothing of what was said. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from urllib.parse import quote, quote_plus

MASK = "********"
SAID = "[what was said is left out]"
SHORT = 8
"""A shorter secret is looked for as a whole word only: it may be a part of any other."""
_LIKE_SECRETS = (
    # A name that says so, and its value: up to a quote, or the next space. A Bearer's, too.
    re.compile(
        r"(?i)((?:xi-api-key|api[_-]?key|authorization|token|password|passwd|secret)[\"']?\s*[=:]\s*"
        r"(?:bearer\s+)?[\"']?)([^\s\"'#&,;]+)"
    ),
    re.compile(r"()(\b(?:sk|om1_live|om1_test)_[0-9A-Za-z_-]{8,})"),
    re.compile(r"(://)([^/\s@\"']+)(?=@)"),
)
_SPOKEN = re.compile(r"(\butterance \d+ (?!ended:)[^:\n]*): .*")
"""The line of an utterance with its text behind the colon (`transcript.log_text`)."""


def forms(secret: str) -> list[str]:
    """How a secret may look in what others wrote: plain, escaped, in base64, backwards."""
    raw = secret.encode()
    found = [secret, quote(secret, safe=""), quote_plus(secret), secret[::-1]]
    for shift in range(3):  # base64 of a text that has it somewhere: what depends on it alone
        inner = base64.b64encode(bytes(shift) + raw)
        first, spare = (0, 2, 3)[shift], len(inner) - (-(shift + len(raw)) % 3 and 4)
        found.append(inner[first:spare].decode())
    found += [each.replace("+", "-").replace("/", "_") for each in found[4:]]
    found += [raw.hex(), raw.hex().upper()]
    return [each for each in dict.fromkeys(found) if len(each) >= min(4, len(secret))]


class Redactor:
    """Masks the `secrets` that are known, and what looks like one."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._known = [
            re.compile(
                re.escape(form) if len(form) >= SHORT else rf"(?<!\w){re.escape(form)}(?!\w)"
            )
            for secret in secrets
            for form in sorted(forms(secret), key=len, reverse=True)
        ]

    def __call__(self, text: str) -> str:
        """`text`, fit to be shown."""
        for known in self._known:
            text = known.sub(MASK, text)
        for like in _LIKE_SECRETS:
            text = like.sub(rf"\g<1>{MASK}", text)
        return _SPOKEN.sub(rf"\g<1>: {SAID}", text)

    def finds(self, text: str) -> bool:
        """Whether a known secret is in `text` all the same."""
        return any(known.search(text) for known in self._known)
