"""Every way in which the ElevenLabs realtime endpoint ends a session with an error.

Where nobody has published the text, it is ours; where nobody has captured the close, it follows
commit_throttled's pattern: 1000 with the error's name.
"""

from __future__ import annotations

from scribed.simulate.dialects import Close

TEXTS = {
    "auth_error": "You must be authenticated to use this endpoint.",
    "unaccepted_terms": "You must accept the Speech to Text terms in the dashboard.",
    "quota_exceeded": "You have exceeded your quota.",
    "invalid_request": "The request is invalid.",
    "input_error": "The message is invalid.",
    "chunk_size_exceeded": "The chunk is too large.",
    "commit_throttled": "Commit request ignored: too many commits in a short time.",
    "rate_limited": "Too many requests. Please try again later.",
    "queue_overflow": "The queue of this session is full: audio arrives faster than it is "
    "transcribed.",
    "resource_exhausted": "The service is at its capacity. Please try again later.",
    "session_time_limit_exceeded": "Maximum session time reached. Start a new session or upgrade "
    "your plan.",
    "insufficient_audio_activity": "The session was ended for lack of audio activity.",
    "transcriber_error": "The transcription engine failed.",
    "error": "An unknown error occurred.",
}
CLOSES = {
    "auth_error": Close(1000, ""),
    "unaccepted_terms": Close(1000, ""),
    "invalid_request": Close(1008, "invalid_request"),
}
REFUSALS = (  # that come instead of session_started, where they come at once
    "auth_error",
    "unaccepted_terms",
    "quota_exceeded",
    "invalid_request",
    "rate_limited",
    "resource_exhausted",
)


def close(kind: str) -> Close:
    """Return how the service closes after this error."""
    return CLOSES.get(kind, Close(1000, kind))
