"""Before a session: which dialect a path asks for, who is let in, and what HTTP answers. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import SplitResult

from scribed.simulate.admission import TOKEN_KINDS, Admission
from scribed.simulate.dialects import elevenlabs_http, openmind_routes
from scribed.simulate.faults import Fault, Faults
from scribed.simulate.posts import Answer, Post

JSON = "application/json"


class Door:
    """One server's. `key` is the only accepted one; None accepts any that is not empty.

    ElevenLabs lets a refused client in, to tell it so; with `refuse_with_http` it is HTTP 401.
    """

    def __init__(self, key: str | None, *, refuse_with_http: bool, faults: Faults) -> None:
        self._key, self._refuse_with_http, self._faults = key, refuse_with_http, faults
        self._admission = Admission(key)

    def knock(self, url: SplitResult, headers: Mapping[str, str], now: float) -> bool | Answer:
        """Decide on an upgrade: whether its credential is good, or why there is no session."""
        is_openmind = url.path in openmind_routes.ROUTES
        if not is_openmind and url.path != elevenlabs_http.PATH:
            is_minting = url.path.startswith(elevenlabs_http.MINT_PATH)
            return refused(HTTPStatus.METHOD_NOT_ALLOWED if is_minting else HTTPStatus.NOT_FOUND)
        if fault := self._faults.state("http", now):
            return _of(fault, _body(url, fault.number or 500, is_openmind=is_openmind))
        if is_openmind:
            admitted = openmind_routes.admits(url.path, url.query, self._key)
        elif token := elevenlabs_http.token(url.query):
            admitted = self._admission.spend(token, now)
        else:
            admitted = self._admission.knows(headers.get(elevenlabs_http.KEY_HEADER))
        if not admitted and (is_openmind or self._refuse_with_http):
            return Answer(401, JSON, _body(url, 401, is_openmind=is_openmind))
        return admitted

    def answer_post(self, post: Post, now: float) -> Answer:
        """Mint a single-use token, for whom the key is known."""
        kind = post.path.removeprefix(elevenlabs_http.MINT_PATH)
        if fault := self._faults.state("mint", now):
            return _of(fault, elevenlabs_http.refusal(fault.number or 500))
        if kind not in TOKEN_KINDS:
            return refused(HTTPStatus.NOT_FOUND)
        if not self._admission.knows(post.headers.get(elevenlabs_http.KEY_HEADER)):
            return refused(HTTPStatus.UNAUTHORIZED)
        return Answer(200, JSON, json.dumps({"token": self._admission.mint(kind, now)}))


def refused(status: int) -> Answer:
    return Answer(status, JSON, elevenlabs_http.refusal(status))


def _of(fault: Fault, body: str) -> Answer:
    return Answer(fault.number or 500, JSON, body, retry_after_s=fault.value)


def _body(url: SplitResult, status: int, *, is_openmind: bool) -> str:
    if is_openmind:
        return openmind_routes.refusal(status, openmind_routes.credential(url.query))
    return elevenlabs_http.refusal(status)
