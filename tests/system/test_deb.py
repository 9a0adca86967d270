"""The Debian package of each release: built on it, installed on a fresh one without a network."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scribed.demo.broker import Broker
from tests.parts.cloud import Cloud
from tests.parts.robot import silence
from tests.system import box as boxes
from tests.system import roots
from tests.system.box import Box, CannotBoot, booted
from tests.system.ear import Ear, put_the_key
from tests.system.installing import ROOT
from tests.system.test_install import KEPT, OWN, said_offline, there
from tests.system.test_unit import outcomes, unfinished

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

OFFLINE = ("unshare", "--net")
FAST_TESTS = ("tests/test_*.py", *(f"tests/{room}" for room in ("delivery", "store", "uplink")))
"""Those that need no sound; without the workers', whose threads take their time."""


@dataclass(frozen=True)
class Package:
    release: str
    file: Path
    newer: Path
    """The same as a later version."""
    lint: str
    """What lintian said on that release."""


@pytest.fixture(scope="module", params=list(roots.ALSA))
def package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The package of each release."""
    release: str = request.param
    directory = tmp_path_factory.mktemp(f"{release}-building")
    tree = directory / "tree"
    _lay_out_the_source(tree)
    with _box(directory, tree, roots.building, release) as box:
        maker = ("DEBFULLNAME=The makers", "DEBEMAIL=makers@scribed.dev")
        box.run("env", *_pip(), *maker, "/src/scripts/build-deb", "--output", "/out", timeout=900)
        (name,) = box.run("sh", "-c", "ls /out").split()
        box.run("dpkg-deb", "-R", f"/out/{name}", "/newer")
        box.run("sed", "-i", "/^Version: /s/$/.1/", "/newer/DEBIAN/control")
        box.run("dpkg-deb", "--root-owner-group", "-b", "/newer", "/out/newer.deb", timeout=300)
        lint = box.run("lintian", "--allow-root", "--fail-on", "none", f"/out/{name}", timeout=300)
        for each in (name, "newer.deb"):
            shutil.copy(box.path(f"/out/{each}"), directory / each)
    return Package(release, directory / name, directory / "newer.deb", lint)


@pytest.fixture
def machine(package: Package, tmp_path: Path) -> Iterator[Box]:
    """A fresh system of that release, with the packages in /tmp."""
    tree = tmp_path / "tree"
    for name in ("opt", "etc"):
        (tree / name).mkdir(parents=True)
    (tree / "etc" / "hosts").write_text("127.0.0.1 localhost\n", "ascii")
    shutil.copy(package.file, tree / "opt" / "scribed.deb")
    shutil.copy(package.newer, tree / "opt" / "newer.deb")
    with _box(tmp_path, tree, roots.fresh, package.release) as box:
        yield box


def test_it_is_clean_and_says_what_it_needs(package: Package) -> None:
    assert package.lint.strip() == ""
    major = {"bookworm": "12", "trixie": "13"}[package.release]
    assert f"+deb{major}_" in package.file.name


@pytest.mark.parametrize("release", roots.ALSA)
def test_the_fast_tests_pass_on_the_python_of_that_release(release: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    _lay_out_the_source(tree)
    with _box(tmp_path, tree, roots.building, release) as box:
        files = " ".join(FAST_TESTS)
        run = f"cd /src && exec scripts/test -q -p no:cacheprovider -k 'not worker' {files}"
        said = box.run("env", *_pip(), "sh", "-c", run, check=False, timeout=900)
    assert re.search(r"^\d{3,} passed", said, re.MULTILINE), said[-4000:]


def test_installed_without_a_network_it_starts_nothing_and_then_hears(
    machine: Box, broker: Broker, cloud: Cloud, command: bytes
) -> None:
    said = machine.run(*OFFLINE, "dpkg", "-i", "/opt/scribed.deb", timeout=300)
    assert "systemctl enable --now scribed" in said
    assert there(machine, OWN) == list(OWN)
    assert machine.run("scribed", "--version").startswith("scribed ")
    assert machine.run("scribed", "check").strip() != ""
    assert machine.run("systemctl", "is-enabled", "scribed", check=False).strip() == "disabled"
    assert machine.run("systemctl", "is-active", "scribed", check=False).strip() == "inactive"
    assert list(machine.path("/usr/lib/scribed").rglob("*.pyc"))
    assert machine.run("dpkg", "--verify", "scribed") == ""
    put_the_key(machine)
    with Ear(machine, "deb", {"provider": {"url": cloud.url}}, port=broker.port) as ear:
        ear.start()
        ear.wait_until_it_hears()
        ear.speak(silence(0.3) + command + silence(1.2), pace=2.0)
        ear.wait_for(lambda: ear.finals() and not unfinished(ear))
        assert set(outcomes(ear).values()) <= {"transcript", "late"}


def test_an_upgrade_keeps_backlog_and_configuration_a_removal_too_and_a_purge_nothing(
    machine: Box, broker: Broker, cloud: Cloud, command: bytes
) -> None:
    machine.run(*OFFLINE, "dpkg", "-i", "/opt/scribed.deb", timeout=300)
    put_the_key(machine)
    edited = machine.path("/etc/scribed/scribed.toml")
    edited.write_text('[robot]\nid = "r7"\n', "utf-8")
    cloud.always.ignore_commit = True
    machine.run("systemctl", "enable", "--now", "scribed")
    with Ear(machine, "deb", {"provider": {"url": cloud.url}}, port=broker.port) as ear:
        ear.start()
        ear.wait_until_it_hears()
        ear.speak(silence(0.3) + command + silence(0.8), pace=2.0)
        ear.wait_for(lambda: ear.subscriber.on("speech"))
        before = ear.pid
        machine.run(*OFFLINE, "dpkg", "-i", "/opt/newer.deb", timeout=300)
        assert (ear.show("ActiveState"), ear.show("Result")) == ("active", "success")
        assert ear.pid not in {0, before}
        assert machine.run("systemctl", "is-active", "scribed").strip() == "active"
        cloud.always.ignore_commit = False
        ear.speak(silence(1.5), pace=2.0)
        ear.wait_for(lambda: ear.finals() and not unfinished(ear))
        assert set(outcomes(ear).values()) <= {"transcript", "late"}
        assert edited.read_text("utf-8") == '[robot]\nid = "r7"\n'

        machine.run("dpkg", "--remove", "scribed")
        assert ear.show("ActiveState") == "inactive"
        assert said_offline(ear)
        assert there(machine, OWN) == []
        assert there(machine, KEPT) == list(KEPT)
        assert edited.read_text("utf-8") == '[robot]\nid = "r7"\n'
        machine.run("dpkg", "--purge", "scribed")
        assert there(machine, OWN + KEPT) == []
    assert "scribed" not in machine.run("getent", "passwd") + machine.run("getent", "group")
    left = machine.run("find", "/etc", "/usr", "/var/lib", "-xdev", "-name", "*scribed*")
    assert left == ""


def test_it_does_not_mix_with_an_installation_by_script(machine: Box) -> None:
    machine.run("mkdir", "-p", "/usr/lib/scribed/env-1")
    machine.run("ln", "-s", "env-1", "/usr/lib/scribed/venv")
    said = machine.run(*OFFLINE, "dpkg", "-i", "/opt/scribed.deb", check=False)
    assert "scribed was installed by scripts/install: run scripts/uninstall first" in said


@contextlib.contextmanager
def _box(directory: Path, tree: Path, root: Callable[[str], Path], release: str) -> Iterator[Box]:
    """A box of that release; the test is skipped where there can be none."""
    if reason := boxes.why_not():
        pytest.skip(reason)
    try:
        with booted(directory / "box", tree, root(release)) as box:
            yield box
    except (CannotBoot, roots.CannotMake) as exc:
        pytest.skip(str(exc))


def _pip() -> list[str]:
    """How this machine's pip is told where it gets packages from."""
    return [f"{name}={value}" for name, value in os.environ.items() if name.startswith("PIP_")]


def _lay_out_the_source(tree: Path) -> None:
    """This checkout, and what this machine needs to reach its package registries."""
    known = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=30,
    )
    for name in filter(None, known.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            target = tree / "src" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    for name in (
        "/etc/pip.conf",
        "/etc/resolv.conf",
        "/etc/hosts",
        "/etc/ssl/certs/ca-certificates.crt",
    ):
        if Path(name).exists():
            target = tree / name.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, target)
