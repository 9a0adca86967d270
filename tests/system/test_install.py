"""scripts/install and scripts/uninstall under a real systemd: what they do, keep, refuse."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scribed.demo.broker import Broker
from tests.parts.cloud import Cloud
from tests.parts.robot import silence
from tests.system.box import Box, CannotBoot, booted
from tests.system.ear import Ear, put_the_key
from tests.system.installing import ROOT, environ
from tests.system.test_unit import outcomes, unfinished

SOURCE = "/opt/source"
WHEELS = f"{SOURCE}/wheels"
PYTHON = f"SCRIBED_PYTHON={environ()['SCRIBED_PYTHON']}"
INSTALL = ("env", PYTHON, f"{SOURCE}/scripts/install")
UNINSTALL = f"{SOURCE}/scripts/uninstall"
OWN = (
    "/usr/lib/scribed",
    "/usr/bin/scribed",
    "/usr/lib/systemd/system/scribed.service",
    "/usr/lib/systemd/system/scribed@.service",
    "/usr/lib/sysusers.d/scribed.conf",
    "/usr/lib/tmpfiles.d/scribed.conf",
    "/usr/lib/udev/rules.d/70-scribed.rules",
    "/usr/lib/systemd/catalog/scribed.catalog",
)
KEPT = ("/etc/scribed", "/var/lib/scribed")


@pytest.fixture(scope="module")
def machine(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A box without scribed; in /opt/source is what it may be installed from."""
    directory = tmp_path_factory.mktemp("machine")
    tree = directory / "tree"
    for name in ("scripts", "install"):
        shutil.copytree(ROOT / name, tree / SOURCE.lstrip("/") / name)
    shutil.copytree(wheels, tree / WHEELS.lstrip("/"))
    try:
        with booted(directory / "box", tree) as box:
            yield box
    except CannotBoot as exc:
        pytest.skip(str(exc))


def there(box: Box, paths: tuple[str, ...]) -> list[str]:
    return [path for path in paths if box.path(path).exists() or box.path(path).is_symlink()]


def commands(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("  ")]


def another_wheel(box: Box, directory: str = WHEELS) -> None:
    """As after a change: the same wheel with other bytes."""
    (wheel,) = box.path(directory).glob("scribed-*.whl")
    with zipfile.ZipFile(wheel, "a") as file:
        file.comment += b"changed "


def test_what_a_dry_run_shows_is_what_an_installation_does(machine: Box) -> None:
    machine.run(UNINSTALL, "--purge")
    shown = machine.run(*INSTALL, "--dry-run", WHEELS)
    assert there(machine, OWN + KEPT) == []
    assert "scribed" not in machine.run("getent", "passwd")
    done = machine.run(*INSTALL, WHEELS)
    assert commands(done) == commands(shown)
    assert there(machine, OWN) == list(OWN)
    assert machine.run("scribed", "--version").startswith("scribed ")
    assert machine.run("systemctl", "is-enabled", "scribed", check=False).strip() == "disabled"
    assert machine.run("systemctl", "is-active", "scribed", check=False).strip() == "inactive"
    assert machine.run("getent", "passwd", "scribed").strip().endswith(":/usr/sbin/nologin")
    assert machine.run("stat", "-c", "%a %U", "/etc/scribed/credentials").split() == ["700", "root"]
    example = machine.path("/etc/scribed/scribed.toml").read_text("utf-8")
    assert example == (ROOT / "config" / "scribed.toml").read_text("utf-8")
    assert "scribed" in machine.run("journalctl", "--list-catalog").lower()
    assert commands(machine.run(*INSTALL, WHEELS)) == []  # a second run has nothing to do


def test_asked_to_enable_it_starts_now_and_at_each_boot(machine: Box) -> None:
    machine.run(*INSTALL, "--enable", WHEELS)
    assert machine.run("systemctl", "is-enabled", "scribed").strip() == "enabled"
    assert machine.run("systemctl", "is-active", "scribed").strip() == "active"
    machine.run("systemctl", "disable", "--now", "scribed")


@pytest.mark.slow
def test_an_upgrade_keeps_the_backlog_and_the_edited_configuration(
    machine: Box, broker: Broker, cloud: Cloud, command: bytes
) -> None:
    machine.run(*INSTALL, WHEELS)
    put_the_key(machine)
    edited = machine.path("/etc/scribed/scribed.toml")
    edited.write_text('[robot]\nid = "r7"\n', "utf-8")
    cloud.always.ignore_commit = True
    service = {"url": cloud.url, "answer_timeout_s": 1.0}
    with Ear(machine, "kept", {"provider": service}, port=broker.port) as ear:
        ear.start()
        ear.wait_until_it_hears()
        ear.speak(silence(0.3) + command + silence(0.8), pace=2.0)
        ear.wait_for(lambda: ear.subscriber.on("speech"))
        before, environment = ear.pid, machine.run("readlink", "/usr/lib/scribed/venv")
        another_wheel(machine)
        machine.run(*INSTALL, WHEELS)
        assert ear.show("ActiveState") == "active"
        assert ear.pid != before
        assert ear.show("Result") == "success"
        assert environment != machine.run("readlink", "/usr/lib/scribed/venv")
        assert not machine.path(f"/usr/lib/scribed/{environment.strip()}").exists()
        cloud.always.ignore_commit = False
        ear.speak(silence(1.5), pace=2.0)
        ear.wait_for(lambda: ear.finals() and not unfinished(ear))
        assert set(outcomes(ear).values()) <= {"transcript", "late"}
    assert edited.read_text("utf-8") == '[robot]\nid = "r7"\n'


@pytest.mark.slow
def test_an_installation_that_fails_leaves_what_runs_alone(machine: Box, broker: Broker) -> None:
    machine.run(*INSTALL, WHEELS)
    put_the_key(machine)
    with Ear(machine, "calm", {}, port=broker.port) as ear:
        ear.start()
        before, environment = ear.pid, machine.run("readlink", "/usr/lib/scribed/venv")
        machine.run("sh", "-c", f"mkdir -p /opt/poor && cp {WHEELS}/scribed-*.whl /opt/poor")
        another_wheel(machine, "/opt/poor")
        said = machine.run(*INSTALL, "/opt/poor", check=False)
        assert "No matching distribution found for msgspec==" in said
        assert said.strip().endswith("once it is mended, run scripts/install again")
        assert machine.run("readlink", "/usr/lib/scribed/venv") == environment
        left = machine.run("ls", "/usr/lib/scribed").split()
        assert left == sorted([environment.strip(), "venv"])
        assert (ear.pid, ear.show("ActiveState")) == (before, "active")


def test_uninstalled_it_is_gone_but_for_what_is_yours_and_purged_for_that_too(
    machine: Box, broker: Broker
) -> None:
    machine.run(*INSTALL, WHEELS)
    put_the_key(machine)
    with Ear(machine, "gone", {}, port=broker.port) as ear:
        ear.start()
        machine.run("systemctl", "enable", "scribed")
        shown = machine.run(UNINSTALL, "--dry-run")
        assert ear.show("ActiveState") == "active"
        done = machine.run(UNINSTALL)
        assert commands(done) == commands(shown)
        assert ear.show("ActiveState") == "inactive"
        assert said_offline(ear)
    enabled = "/etc/systemd/system/multi-user.target.wants/scribed.service"
    assert there(machine, (*OWN, enabled)) == []
    assert there(machine, KEPT) == list(KEPT)
    assert machine.path("/etc/scribed/credentials/elevenlabs-api-key").exists()
    assert machine.path("/var/lib/scribed/gone").is_dir()
    assert commands(machine.run(UNINSTALL)) == ["  systemctl daemon-reload "]
    machine.run(UNINSTALL, "--purge")
    assert there(machine, OWN + KEPT) == []
    assert "scribed" not in machine.run("getent", "passwd") + machine.run("getent", "group")
    left = machine.run("find", "/etc", "/usr", "/var/lib", "/run", "-xdev", "-name", "*scribed*")
    assert [path for path in left.split() if path.startswith(SOURCE)] == left.split()


def said_offline(ear: Ear) -> bool:
    return ear.subscriber.wait_for(
        lambda: [m.payload for m in ear.subscriber.on("status")][-1:] == ["offline"], 10
    )


REFUSED = {
    "an unknown option": (("--wat",), "unknown option '--wat'", 2),
    "no value": (("--root",), "--root needs a value", 2),
    "two sources": (("--dry-run", "/a", "/b"), "one SOURCE only, got '/a' and '/b'", 2),
    "no such wheel": (
        ("--dry-run", "/nowhere/scribed-1-py3-none-any.whl"),
        "/nowhere/scribed-1-py3-none-any.whl: there is no such wheel of scribed",
        1,
    ),
    "nothing there": (("--dry-run", "/etc"), "/etc: no checkout, no wheel", 1),
    "a root to start": (("--root", "/tmp/x", "--enable"), "--root is for files that go", 2),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_said_before_anything_is_done(machine: Box, case: str) -> None:
    arguments, said, status = REFUSED[case]
    answer = machine.run(
        "sh", "-c", '"$@"; echo "status $?"', "sh", *INSTALL, *arguments, check=False
    )
    assert answer.splitlines()[-2].startswith(f"scripts/install: {said}")
    assert answer.splitlines()[-1] == f"status {status}"
    assert len(answer.splitlines()) == 2


def test_it_refuses_whom_and_where_it_cannot_work(machine: Box) -> None:
    nobody = ("setpriv", "--reuid=nobody", "--clear-groups")
    assert "not root: sudo scripts/install" in machine.run(*nobody, *INSTALL, WHEELS, check=False)
    said = machine.run(*nobody, UNINSTALL, check=False)
    assert "scripts/uninstall: not root: sudo scripts/uninstall" in said
    assert "unknown argument '--wat'" in machine.run(UNINSTALL, "--wat", check=False)
    bare = "mount -t tmpfs run /run && exec env " + " ".join((PYTHON, INSTALL[-1], WHEELS))
    said = machine.run("unshare", "--mount", "sh", "-c", bare, check=False)
    assert "this machine was not booted by systemd" in said


OTHER_PYTHONS = {
    "too old": ("echo 3.9.2", "is 3.9.2, and scribed needs a Python from 3.10 to 3.14"),
    "none": ("exit 1", "is no Python"),
    "at home": (
        'case "$*" in *base_prefix*) echo /home/pi/.pyenv/versions/3.12;; *) echo 3.12.1;; esac',
        "is in a home directory or in memory, which the unit hides",
    ),
}


@pytest.mark.parametrize("case", OTHER_PYTHONS)
def test_a_python_that_cannot_run_the_service_is_refused(machine: Box, case: str) -> None:
    script, said = OTHER_PYTHONS[case]
    python = machine.path("/usr/local/bin/other-python")
    python.write_text(f"#!/bin/sh\n{script}\n", "ascii")
    python.chmod(0o755)
    other = ("env", "SCRIBED_PYTHON=/usr/local/bin/other-python", INSTALL[-1])
    assert said in machine.run(*other, "--dry-run", WHEELS, check=False)
    missing = ("env", "SCRIBED_PYTHON=/nowhere/python", INSTALL[-1])
    assert "/nowhere/python: there is no such program" in machine.run(
        *missing, "--dry-run", WHEELS, check=False
    )


def test_a_program_of_another_is_not_replaced(machine: Box) -> None:
    machine.run(UNINSTALL)
    other = machine.path("/usr/bin/scribed")
    other.write_text("#!/bin/sh\n", "ascii")
    try:
        assert "/usr/bin/scribed is something else" in machine.run(*INSTALL, WHEELS, check=False)
        machine.run(UNINSTALL)
        assert other.read_text("ascii") == "#!/bin/sh\n"
    finally:
        other.unlink()
