"""Names, TLS, the clock, the service and the broker: what the network said. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone

from scribed.doctor.finding import Finding, failed, ok, told, unknown, warning

DNS, TLS, CLOCK, PROVIDER, BROKER = "dns", "tls", "clock", "provider", "broker"
SLOW_S = 2.0
"""A first name server that does not answer costs 5 s before the second is asked."""
SOON_S = 14 * 86_400.0
"""A certificate is renewed a month before its end where somebody sees to it."""
OFF_S, WRONG_S = 5.0, 300.0
"""So far off, order on MQTT suffers; so far, nothing that bears a time can be believed."""
DAY_S = 86_400.0
_SET_CLOCK = "sudo timedatectl set-ntp true (or set the clock), then try again"


@dataclass(frozen=True, slots=True)
class Lookup:
    """`error` is the resolver's, "" with addresses; neither: no answer within `seconds`."""

    host: str
    addresses: tuple[str, ...]
    error: str
    seconds: float
    may_pass: bool = False  #: the error is that no name server answers now (EAI_AGAIN)


@dataclass(frozen=True, slots=True)
class Greeting:
    """What came of a TLS handshake. Times are of the Unix epoch, None where nobody said.

    `untrusted` is OpenSSL's reason, `problem` any other; `date` is the clock of an HTTP server.
    """

    host: str
    key: str  #: the configuration's, for remedies: "provider" or "mqtt"
    version: str = ""
    ends: float | None = None
    untrusted: str = ""
    problem: str = ""
    date: float | None = None
    asked_at: float = 0.0

    @property
    def offset_s(self) -> float | None:
        """How far the peer's clock is ahead of this machine's."""
        return None if self.date is None else self.date - self.asked_at


def of_lookup(key: str, found: Lookup) -> Finding:
    """`key` is where the name stands in the configuration."""
    if found.addresses:
        rest = len(found.addresses) - 1
        more = f" and {rest} more" if rest else ""
        text = f"{found.host} is {found.addresses[0]}{more}, {found.seconds * 1000:.0f} ms"
        if found.seconds > SLOW_S:
            remedy = "a name server does not answer: see /etc/resolv.conf or resolvectl status"
            return warning(DNS, text, remedy)
        return ok(DNS, text)
    servers = "check the network, then the name servers (/etc/resolv.conf or resolvectl status)"
    if not found.error or found.may_pass:
        why = found.error or "no answer"
        text = f"{found.host} cannot be looked up: {why} within {found.seconds:.0f} s"
        return failed(DNS, text, servers)
    return failed(DNS, f"{found.host}: {found.error}", f"correct {key}, or {servers}")


def of_greeting(said: Greeting, now: float) -> Finding:
    """The handshake, judged with the clock in mind."""
    ca = f"name the authority in {said.key}.ca_file"
    if said.untrusted:
        return _untrusted(said, ca)
    if said.problem:
        remedy = f"check [{said.key}] and the network; a firewall or proxy may be in between"
        return told(TLS, "failed", f"{said.host}: {said.problem}", remedy)
    text = f"{said.host}: {said.version}"
    if said.ends is None:
        return ok(TLS, text)
    left_s = said.ends - now
    text += f", certificate until {_day(said.ends)}"
    if left_s < SOON_S:
        days = max(0, int(left_s // DAY_S))
        return warning(TLS, f"{text}: {days} days", "renew it on the server")
    return ok(TLS, text)


def of_clock(synced: bool | None, offset_s: float | None) -> Finding:
    """`synced`: as the kernel says; `offset_s`: how far an HTTP server's clock is ahead."""
    far = "" if offset_s is None else f", {_off(offset_s)}"
    if offset_s is not None and abs(offset_s) >= WRONG_S:
        return failed(CLOCK, f"this machine's clock is wrong: it is {_off(offset_s)}", _SET_CLOCK)
    if synced is False:
        text = f"not synchronised{far}: every transcript has the caution unsynced"
        return warning(CLOCK, text, "sudo timedatectl set-ntp true")
    if offset_s is not None and abs(offset_s) >= OFF_S:
        text = f"it is {_off(offset_s)}"
        return warning(CLOCK, text, "see what sets it: timedatectl timesync-status")
    if synced is None:
        return unknown(CLOCK, f"the kernel does not say whether it is synchronised{far}")
    return ok(CLOCK, f"synchronised{far}")


@dataclass(frozen=True, slots=True)
class Answered:
    """What the service said to a connection with our key, and nothing else: no audio is sent."""

    name: str
    is_ready: bool
    seconds: float
    session_id: str = ""
    reason: str = ""
    alert: str = ""  #: the code of the alert that the daemon would raise
    warnings: tuple[str, ...] = ()


_PROVIDER_REMEDIES = {
    "auth_failed": "put a valid key where provider.key_file or the credential says",
    "quota": "see the provider's dashboard: the quota is used up or the plan has ended",
}


def of_provider(said: Answered) -> list[Finding]:
    """One finding, and one for each thing that the service does not grant."""
    if not said.is_ready:
        other = "see dns, tls and clock above, then provider.url"
        remedy = _PROVIDER_REMEDIES.get(said.alert, other)
        return [Finding(PROVIDER, "failed", f"{said.name}: {said.reason}", remedy)]
    session = f" ({said.session_id})" if said.session_id else ""
    text = f"{said.name}: session started in {said.seconds * 1000:.0f} ms{session}, no audio sent"
    notes = [told(PROVIDER, "warning", each, "see [provider]") for each in said.warnings]
    return [ok(PROVIDER, text), *notes]


@dataclass(frozen=True, slots=True)
class Reached:
    """What the broker said; `problem` is one of scribed's own lines."""

    where: str
    problem: str = ""
    version: str = ""
    seconds: float = 0.0
    not_subscribed: str = ""  #: why it does not let us hear commands
    is_denied: bool = False  #: the problem is who we are
    is_in_clear: bool = False  #: the password crosses the network without TLS


def of_broker(said: Reached) -> list[Finding]:
    """One finding for the connection, and what else is to be said of it."""
    if said.problem:
        return [told(BROKER, "failed", said.problem, "check [mqtt], and that the broker runs")]
    text = f"{said.where}: MQTT {said.version}, {said.seconds * 1000:.0f} ms, nothing published"
    found = [ok(BROKER, text)]
    if said.not_subscribed:
        why = f"commands are not heard: the broker refuses cmd/+ ({said.not_subscribed})"
        found.append(warning(BROKER, why, "allow this user to read {base}/cmd/# in its ACL"))
    if said.is_in_clear:
        why = f"the password crosses the network to {said.where} in clear text"
        found.append(warning(BROKER, why, "mqtt.tls = true, and the broker's TLS port"))
    return found


def of_late(part: str, seconds: float) -> Finding:
    """An examination that came to no end in its time."""
    return failed(part, f"no answer within {seconds:.0f} s", "check the network; try again")


def _untrusted(said: Greeting, ca: str) -> Finding:
    text, offset_s = f"{said.host}: the certificate is refused, {said.untrusted}", said.offset_s
    if "expired" not in said.untrusted and "not yet valid" not in said.untrusted:
        if "mismatch" in said.untrusted or "not valid for" in said.untrusted:
            host = "provider.url" if said.key == "provider" else "mqtt.host"
            return failed(TLS, text, f"{host} must be a name in it")
        return failed(TLS, text, f"{ca}, or mend the server's chain; is a proxy in between?")
    if offset_s is not None and abs(offset_s) >= DAY_S:
        return failed(TLS, f"{text}; this machine's clock is {_off(offset_s)}", _SET_CLOCK)
    if offset_s is not None:
        return failed(TLS, f"{text}, and the clock here is right", "renew it on the server")
    return failed(TLS, text, "compare `date` here with the right time, else renew it on the server")


def _off(offset_s: float) -> str:
    """How far this machine's clock is from the peer's, which is `offset_s` ahead of it."""
    size = abs(offset_s)
    if size < 1.5:
        return "within a second of the server's"
    words = f"{size / DAY_S:.0f} days" if size >= 2 * DAY_S else f"{size:.0f} s"
    return f"{words} {'behind' if offset_s > 0 else 'ahead of'} the server's"


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d")
