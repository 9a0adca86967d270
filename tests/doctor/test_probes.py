"""Evidence from real parts: certificates, clocks, resolvers, locks, ledgers, radios."""

from __future__ import annotations

import contextlib
import datetime
import email.utils
import json
import os
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from scribed.config import Audio
from scribed.doctor import machine, network
from scribed.doctor.aside import Aside, Late
from scribed.doctor.probes import keys, microphone, store
from scribed.doctor.probes import machine as machines
from scribed.doctor.probes import network as networks
from scribed.store.rows import SCHEMA
from scribed.store.sequence import Sequence
from scribed.uplink.connection import tls_context
from tests.parts.cloud import raw_server

DAY = 86_400.0


# TLS and the clock


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextlib.contextmanager
def https(authority: trustme.CA, *, days: float, clock_ahead_s: float = 0.0) -> Iterator[int]:
    """A TLS server whose certificate has so many days left, and whose clock may be elsewhere."""
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = authority.issue_cert(
        "localhost",
        not_before=now - datetime.timedelta(days=400),
        not_after=now + datetime.timedelta(days=days),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)

    def serve(accepted: socket.socket) -> None:
        with context.wrap_socket(accepted, server_side=True) as connection:
            asked = connection.recv(4096)
            assert b"authorization" not in asked.lower()
            date = email.utils.formatdate(time.time() + clock_ahead_s, usegmt=True)
            connection.sendall(f"HTTP/1.1 404 Not Found\r\nDate: {date}\r\n\r\n".encode())

    with raw_server(serve) as port:
        yield port


def greet(authority: trustme.CA, port: int, tmp_path: Path) -> network.Greeting:
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    return networks.greet("localhost", port, "provider", lambda: tls_context(str(ca)), is_http=True)


def test_a_certificate_and_the_servers_clock_are_read(
    authority: trustme.CA, tmp_path: Path
) -> None:
    with https(authority, days=30) as port:
        said = greet(authority, port, tmp_path)
    assert said.version.startswith("TLSv1.")
    assert said.ends == pytest.approx(time.time() + 30 * DAY, abs=60)
    assert said.offset_s == pytest.approx(0, abs=3)
    assert network.of_greeting(said, time.time()).level == "ok"


def test_an_expired_certificate_is_the_servers_fault_where_the_clock_is_right(
    authority: trustme.CA, tmp_path: Path
) -> None:
    with https(authority, days=-1) as port:
        said = greet(authority, port, tmp_path)
    finding = network.of_greeting(said, time.time())
    assert (finding.level, finding.remedy) == ("failed", "renew it on the server")
    assert "has expired, and the clock here is right" in finding.text


def test_an_expired_certificate_is_the_clocks_fault_where_that_is_off(
    authority: trustme.CA, tmp_path: Path
) -> None:
    with https(authority, days=-1, clock_ahead_s=-200 * DAY) as port:
        said = greet(authority, port, tmp_path)
    finding = network.of_greeting(said, time.time())
    assert "this machine's clock is 200 days ahead of the server's" in finding.text
    assert "timedatectl" in finding.remedy
    assert network.of_clock(True, said.offset_s).level == "failed"


def test_a_server_of_an_unknown_authority_is_said(tmp_path: Path) -> None:
    with https(trustme.CA(), days=30) as port:
        said = greet(trustme.CA(), port, tmp_path)
    finding = network.of_greeting(said, time.time())
    assert finding.level == "failed"
    assert "provider.ca_file" in finding.remedy


@pytest.mark.parametrize("says", [b"", b"SSH-2.0-OpenSSH_9\r\n"])
def test_what_speaks_no_tls_is_said(authority: trustme.CA, tmp_path: Path, says: bytes) -> None:
    def serve(accepted: socket.socket) -> None:
        accepted.sendall(says)

    with raw_server(serve) as port:
        said = greet(authority, port, tmp_path)
    assert said.problem
    assert network.of_greeting(said, time.time()).level == "failed"


# Names


def test_a_name_that_nobody_has_and_one_that_cannot_be() -> None:
    for host in ("no-such-robot.invalid", "x" * 300):
        found = networks.look_up(host)
        assert (found.addresses, bool(found.error)) == ((), True)
        assert network.of_lookup("mqtt.host", found).level == "failed"


def test_a_resolver_that_never_answers_costs_its_time_and_no_more() -> None:
    answered = threading.Event()

    def black_hole(*_: object, **__: object) -> list[Any]:
        answered.wait(30)
        return []

    looking = Aside(lambda: networks.look_up("hub", black_hole), 0.2)
    begun = time.monotonic()
    with pytest.raises(Late, match="no answer within"):
        looking.result()
    assert time.monotonic() - begun < 10
    answered.set()
    looking.join(10)


BLACK_HOLE = """\
import socket, subprocess, sys
hole = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
hole.bind(("127.0.0.9", 53))  # takes every question, and answers none
done = subprocess.run([sys.executable, "-m", "scribed", "doctor", "--json"], check=False)
sys.exit(done.returncode)
"""


@pytest.mark.slow
def test_dns_in_a_black_hole_costs_its_time_and_is_told_from_a_wrong_name(tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.9\n")
    script = 'ip link set lo up && mount --bind "$0" /etc/resolv.conf && exec "$@"'
    begun = time.monotonic()
    done = subprocess.run(
        [
            *("unshare", "--mount", "--net", "sh", "-c", script, tmp_path / "resolv.conf"),
            *(sys.executable, "-c", BLACK_HOLE),
        ],
        env={**os.environ, "HOME": str(tmp_path), "ELEVENLABS_API_KEY": "k", "XDG_STATE_HOME": ""},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"this machine gives no namespaces: {done.stderr.strip()}")
    assert time.monotonic() - begun < 60
    found = {each["part"]: each for each in reversed(json.loads(done.stdout)["findings"])}
    assert found["dns"]["level"] == "failed"
    assert "name servers" in found["dns"]["remedy"] + found["dns"]["text"]
    assert "correct" not in found["dns"]["remedy"]
    for part in ("tls", "provider"):
        assert found[part]["level"] == "failed", found[part]
    assert {"disk", "unit", "wifi"} <= set(found), "the rest goes on"


def test_a_bug_of_an_examination_is_not_swallowed() -> None:
    def broken() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Aside(broken, 10).result()


# The store


def ledger(state: Path) -> Path:
    """An empty ledger, as a daemon that has ended leaves it."""
    path = state / "ledger.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for statements in SCHEMA.migrations:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id={SCHEMA.mark}")
        connection.execute(f"PRAGMA user_version={SCHEMA.version}")
        connection.executemany(
            "INSERT INTO fact VALUES (?, ?)", [(str(n), "x" * 2000) for n in range(50)]
        )
        connection.commit()
    return path


def test_a_store_is_looked_at_and_left_as_it_was(tmp_path: Path) -> None:
    path = ledger(tmp_path)
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "0000000001-abc.sealed.wav").touch()
    (tmp_path / "audio" / "notes.txt").touch()
    before = {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*")}
    found = store.look(tmp_path, tmp_path / "run")
    assert (found.ledger, found.waiting, found.held_by) == ("", 1, None)
    assert {each: each.stat().st_mtime_ns for each in tmp_path.rglob("*")} == before
    assert path.exists()


def test_a_damaged_ledger_and_one_of_a_later_version_are_found(tmp_path: Path) -> None:
    path = ledger(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * 12_288 + whole[16_384:])
    assert "damaged" in store.look(tmp_path, tmp_path).ledger
    path.write_bytes(whole[:60] + (SCHEMA.version + 1).to_bytes(4, "big") + whole[64:])
    assert "later version" in store.look(tmp_path, tmp_path).ledger
    path.write_bytes(b"what is this" * 100)
    assert "damaged" in store.look(tmp_path, tmp_path).ledger


def test_the_lock_of_a_daemon_is_seen_and_not_taken(tmp_path: Path) -> None:
    sequence = Sequence(tmp_path)
    try:
        path = ledger(tmp_path)
        path.write_bytes(b"being written just now")
        found = store.look(tmp_path, tmp_path)
        assert found.held_by is not None
        assert found.ledger == "", "its pages change under whoever reads them"
    finally:
        sequence.close()
    assert store.look(tmp_path, tmp_path).held_by is None


def test_no_store_yet_is_no_fault(tmp_path: Path) -> None:
    assert not store.look(tmp_path / "none", tmp_path).is_there


# The machine


def test_the_room_is_that_of_where_the_directory_will_be(tmp_path: Path) -> None:
    room = machines.room(tmp_path / "not" / "yet")
    assert room is not None
    assert room.path == str(tmp_path)
    assert 0 < room.free <= room.total


def test_a_radio_of_which_neither_kernel_nor_iw_says_anything_is_unknown(tmp_path: Path) -> None:
    for name, state in (("wlan7", "up"), ("eth7", "up")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "operstate").write_text(f"{state}\n")
    (tmp_path / "wlan7" / "wireless").mkdir()
    (radio,) = machines.radios(tmp_path)
    assert radio == machine.Radio("wlan7", is_up=True, saves_power=None)
    assert machines.radios(tmp_path / "none") == []


def test_a_program_that_is_not_there_or_takes_too_long_says_nothing() -> None:
    assert machines.run("no-such-program-here") is None
    assert machines.run("sleep", "60", within_s=0.1) is None
    assert machines.run("echo", "yes") == "yes\n"


# Credentials


def test_what_the_unit_names_is_shown_to_the_examination_and_gone_after_it(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("k")
    shown = {"LoadCredential": f"elevenlabs-api-key:{secret} other:/nowhere"}
    with keys.as_the_service("scribed@no-such", shown, {}) as environ:
        directory = Path(environ["CREDENTIALS_DIRECTORY"])
        assert (directory / "elevenlabs-api-key").read_text() == "k"
        assert not (directory / "other").is_symlink()
    assert not directory.exists()
    assert secret.exists()


def test_what_this_process_was_given_goes_first() -> None:
    given = {"CREDENTIALS_DIRECTORY": "/given"}
    with keys.as_the_service("scribed", {"LoadCredential": "a:/etc/passwd"}, given) as environ:
        assert environ == given


# The microphone


def test_a_device_that_is_not_there_is_said_in_the_daemons_words() -> None:
    said = microphone.listen(Audio(device="card:NoSuchCard"))
    assert said.heard is None
    assert 'no microphone "card:NoSuchCard" is plugged in' in said.problem
