"""What of the ElevenLabs API is HTTP: where it is, who asks, and how it refuses."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

PATH = "/v1/speech-to-text/realtime"
MINT_PATH = "/v1/single-use-token/"  # and the token's kind
KEY_HEADER = "xi-api-key"

STATUSES = {
    401: ("invalid_api_key", "Invalid API key"),
    402: ("quota_exceeded", "You have exceeded your quota."),
    403: ("missing_permissions", "The API key is missing the permission speech_to_text."),
    404: ("not_found", f"There are {PATH} and {MINT_PATH}realtime_scribe here."),
    405: ("method_not_allowed", "A token is minted by POST."),
    429: ("too_many_concurrent_requests", "Too many concurrent requests."),
    503: ("system_busy", "The system is busy. Please try again later."),
}


def token(query: str) -> str | None:
    """Return the single-use token that a client gave; it goes before a key."""
    return parse_qs(query, keep_blank_values=True).get("token", [None])[-1]


def refusal(status: int) -> str:
    """Return the JSON body of an answer with HTTP `status`."""
    kind, message = STATUSES.get(status, ("internal_error", "The service failed."))
    return json.dumps({"detail": {"status": kind, "message": message}})
