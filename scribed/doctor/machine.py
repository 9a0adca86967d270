"""The unit, the store, the disk and the radio: what the machine said. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scribed.doctor.finding import Finding, failed, ok, unknown, warning

STORE, DISK, UNIT, WIFI = "store", "disk", "unit", "wifi"
_MB = 1 << 20
UNIT_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "Result",
    "ExecMainStatus",
    "NRestarts",
    "NeedDaemonReload",
    "StatusText",
    "FragmentPath",
    "DropInPaths",
    "User",
)
"""What is asked of systemd."""
_EXITS = {
    "75": "another scribed has this state directory: stop that one",
    "78": "correct the configuration (scribed check), then systemctl start",
    "203": "ExecStart= names no program that can be run: install scribed as docs/systemd.md says",
    "243": "LoadCredential= names a file that is not there: put it there, or remove the drop-in",
}
"""By the exit status of the process, or systemd's own before there was one."""


def of_unit(unit: str, shown: Mapping[str, str] | None) -> Finding:
    """`shown`: properties by `systemctl show`; None: no systemd runs here."""
    if shown is None:
        return unknown(UNIT, "no systemd runs here, so nothing starts scribed again by itself")
    load, active = shown.get("LoadState", ""), shown.get("ActiveState", "")
    if load == "not-found":
        text = f"there is no {unit}: nothing starts scribed at boot, or again after a crash"
        return warning(UNIT, text, "install the units as docs/systemd.md says")
    if load == "masked":
        return failed(UNIT, f"{unit} is masked", f"sudo systemctl unmask {unit}")
    if load != "loaded":
        return failed(UNIT, f"{unit} cannot be loaded ({load})", f"systemd-analyze verify {unit}")
    if active == "active":
        return _running(unit, shown)
    return _not_running(unit, shown)


def _running(unit: str, shown: Mapping[str, str]) -> Finding:
    if shown.get("NeedDaemonReload") == "yes":
        remedy = f"sudo systemctl daemon-reload && sudo systemctl restart {unit}"
        return warning(UNIT, f"{unit} runs, and its files have changed since", remedy)
    if (restarts := int(shown.get("NRestarts") or 0)) > 0:
        text = f"{unit} runs, and was started again {restarts} times by itself"
        return warning(UNIT, text, f"journalctl -u {unit} says why")
    names = [path.rpartition("/")[2] for path in shown.get("DropInPaths", "").split()]
    drop_ins = f", drop-ins: {', '.join(names)}" if names else ""
    if shown.get("UnitFileState") == "disabled":
        text = f"{unit} runs, and does not start at boot{drop_ins}"
        return warning(UNIT, text, f"sudo systemctl enable {unit}")
    return ok(UNIT, f"{unit} runs{drop_ins}")


def _not_running(unit: str, shown: Mapping[str, str]) -> Finding:
    active, result = shown.get("ActiveState", ""), shown.get("Result", "")
    restarts, status = int(shown.get("NRestarts") or 0), shown.get("ExecMainStatus", "0")
    look = f"journalctl -u {unit} -n 50 says why"
    if active == "failed" or shown.get("SubState") == "auto-restart":
        what = "has failed" if active == "failed" else f"ends again and again ({restarts} times)"
        code = status if result in ("exit-code", "success") else result
        remedy = _EXITS.get(code, look) if code != "resources" else _EXITS["243"]
        return failed(UNIT, f"{unit} {what}: {result}, status {status}", remedy)
    if active in ("activating", "reloading", "deactivating"):
        return unknown(UNIT, f"{unit} is {active}", "ask again in a moment")
    start = f"sudo systemctl enable --now {unit}"
    if shown.get("UnitFileState") == "enabled":
        start = f"sudo systemctl start {unit}"
    return warning(UNIT, f"{unit} does not run ({active})", start)


@dataclass(frozen=True, slots=True)
class Store:
    """The state directory as it was found; None: not known, since it may not be looked at."""

    path: str
    is_there: bool
    may_look: bool = True
    is_read_only: bool = False  #: the file system, or for this user
    owner: tuple[str, int] | None = None
    held_by: int | None = None  #: the process that has the lock
    ledger: str = ""  #: "" whole, or what is wrong with it
    has_journal: bool = False  #: a crash left changes that the next start takes up
    waiting: int = 0
    quarantined: int = 0


def of_store(store: Store, service: tuple[str, int] | None) -> Finding:
    """`service`: the unit's user."""
    if not store.is_there:
        return ok(STORE, f"{store.path} is not there yet: the first start makes it")
    if not store.may_look:
        text = f"{store.path} is another user's"
        return unknown(STORE, text, "ask as that user, or as root with sudo")
    return _unusable(store, service) or _contents(store)


def _unusable(store: Store, service: tuple[str, int] | None) -> Finding | None:
    if store.is_read_only:
        text = f"{store.path} cannot be written: an outage longer than memory loses speech"
        return failed(STORE, text, "remount the file system writable, or check the disk (dmesg)")
    if service and store.owner and store.owner[1] != service[1]:
        text = f"{store.path} belongs to {store.owner[0]}, and the service runs as {service[0]}"
        return failed(STORE, text, f"sudo chown -R {service[0]}: {store.path}")
    return None


def _contents(store: Store) -> Finding:
    holds = f"{store.path}: {store.waiting} utterance(s) wait"
    if store.held_by is not None:
        return ok(STORE, f"{holds}; in use by the daemon (pid {store.held_by})")
    if store.ledger:
        text = f"{store.path}/ledger.db {store.ledger}"
        return warning(STORE, text, "the next start sets it aside and goes on from the files")
    if store.quarantined:
        text = f"{holds}, {store.quarantined} in quarantine"
        return warning(STORE, text, "scribed spool ls lists them; purge what is not needed")
    crash = "; the next start takes up what a crash left" if store.has_journal else ""
    return ok(STORE, holds + crash)


@dataclass(frozen=True, slots=True)
class Room:
    """The file system of the state directory, in bytes; `files`: how many more it can have."""

    path: str
    free: int
    total: int
    files: int | None = None


def of_disk(room: Room | None, *, min_free_mb: int, max_mb: int) -> Finding:
    """`min_free_mb`, `max_mb`: as in [spool]."""
    if room is None:
        return unknown(DISK, "the file system cannot be asked")
    free_mb = room.free // _MB
    text = f"{room.path}: {free_mb} MB of {room.total // _MB} MB free"
    remedy = "free space (journalctl --vacuum-size=100M, apt clean)"
    if room.files == 0:
        return failed(
            DISK, f"{text}, and no file more can be made", "delete files: no inode is left"
        )
    if free_mb < min_free_mb:
        text += f", under spool.min_free_mb = {min_free_mb}: in an outage nothing goes to disk"
        return failed(DISK, text, f"{remedy}, or lower that")
    if free_mb < min_free_mb + max_mb:
        text += f": not room enough for spool.max_mb = {max_mb} beside spool.min_free_mb"
        return warning(DISK, text, f"{remedy}, or lower one of them")
    return ok(DISK, text)


@dataclass(frozen=True, slots=True)
class Radio:
    """A Wi-Fi interface; `saves_power` is None where its driver does not say."""

    name: str
    is_up: bool
    saves_power: bool | None


def of_wifi(radios: Sequence[Radio]) -> list[Finding]:
    """One for each interface that is up."""
    up = [each for each in radios if each.is_up]
    if not up:
        names = ", ".join(each.name for each in radios)
        return [ok(WIFI, f"{names}: not in use" if names else "no Wi-Fi here")]
    return [_of_radio(each) for each in up]


def _of_radio(radio: Radio) -> Finding:
    name = radio.name
    if radio.saves_power is None:
        look = f"iw dev {name} get power_save (package iw)"
        return unknown(WIFI, f"{name}: whether it saves power is not known", look)
    if radio.saves_power:
        text = f"{name} saves power: each answer may take 100 ms longer, and roaming fails more"
        remedy = (
            f"sudo iw dev {name} set power_save off; for good: wifi.powersave = 2 in "
            "/etc/NetworkManager/conf.d"
        )
        return warning(WIFI, text, remedy)
    return ok(WIFI, f"{name} saves no power")
