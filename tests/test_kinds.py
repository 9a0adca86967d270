"""The kinds of lines in the journal, the code that writes them and the catalog say the same."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from scribed import kinds

ROOT = Path(__file__).parent.parent
CATALOG = ROOT / "systemd" / "scribed.catalog"
OWN = {"SCRIBED_EVENT", "_SYSTEMD_UNIT"}
"""What every line has, from us and from the journal."""
OTHER_PROGRAMS = ("simulate", "transcribe", "demo")
"""They write to a terminal, not to a journal."""
LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "log"}


def entries() -> dict[str, str]:
    """The catalog's text by id."""
    blocks = re.split(r"^-- ([0-9a-f]{32})$", CATALOG.read_text("utf-8"), flags=re.M)
    ids = blocks[1::2]
    assert len(ids) == len(set(ids)), "an id has two entries"
    return dict(zip(ids, blocks[2::2], strict=True))


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call in the daemon's code, and where it is."""
    for path in sorted((ROOT / "scribed").rglob("*.py")):
        inside = path.relative_to(ROOT / "scribed")
        if inside.parts[0] in OTHER_PROGRAMS:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def used() -> list[tuple[str, str, set[str]]]:
    """Where a kind is used, which, and with which fields."""
    found = []
    for where, call in calls():
        assert isinstance(call.func, ast.Attribute)
        if isinstance(call.func.value, ast.Name) and call.func.value.id == "kinds":
            names = {f"SCRIBED_{str(each.arg).upper()}" for each in call.keywords}
            found.append((where, call.func.attr, names))
    return found


def test_every_kind_has_an_id_of_its_own_and_its_name() -> None:
    ids = {kind.id for kind in kinds.KINDS.values()}
    assert len(ids) == len(kinds.KINDS)
    for each in ids:
        assert uuid.UUID(each).version == 4
    for event, kind in kinds.KINDS.items():
        assert getattr(kinds, event.upper()) is kind


def test_every_kind_has_an_entry_in_the_catalog_and_no_entry_is_for_nothing() -> None:
    assert set(entries()) == {kind.id for kind in kinds.KINDS.values()}


@pytest.mark.parametrize("event", kinds.KINDS)
def test_an_entry_says_what_happened_and_names_only_fields_of_its_kind(event: str) -> None:
    kind = kinds.KINDS[event]
    head, _, text = entries()[kind.id].strip().partition("\n\n")
    assert re.fullmatch(r"Subject: .{5,}\nDefined-By: scribed", head)
    assert text.count("\n\n") >= 1, "what it means, and what to do"
    named = set(re.findall(r"@([A-Z_]+)@", head + text))
    assert named <= {*kind.fields, *OWN}
    assert set(kind.fields) <= set(kinds.FIELDS)
    assert not [line for line in text.splitlines() if len(line) > 100]


def test_every_line_of_the_daemon_says_of_which_kind_it_is() -> None:
    silent = [
        where
        for where, call in calls()
        if isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "logger"
        and call.func.attr in LEVELS
        and "extra" not in {each.arg for each in call.keywords}
    ]
    assert not silent, "give them a kind of scribed/kinds.py, and that an entry in the catalog"


def test_every_kind_is_used_and_with_just_its_fields() -> None:
    found = used()
    assert {name for _, name, _ in found} == {event.upper() for event in kinds.KINDS}
    for where, name, names in found:
        assert names == set(getattr(kinds, name).fields), f"{where}: {name}"


def test_every_field_is_in_use() -> None:
    of_kinds = {name for kind in kinds.KINDS.values() for name in kind.fields}
    assert of_kinds | {"SCRIBED_EVENT", "SCRIBED_REPEATED"} == set(kinds.FIELDS)


def test_a_field_that_is_not_known_is_left_out() -> None:
    said = kinds.LINK_UP(link="connected", provider=None)
    assert said == {
        "MESSAGE_ID": kinds.LINK_UP.id,
        "SCRIBED_EVENT": "link_up",
        "SCRIBED_LINK": "connected",
    }


@pytest.mark.skipif(shutil.which("journalctl") is None, reason="there is no journalctl here")
def test_journalctl_takes_the_catalog(tmp_path: Path) -> None:
    catalog = tmp_path / "usr/lib/systemd/catalog"
    catalog.mkdir(parents=True)
    (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
    shutil.copy(CATALOG, catalog)

    def journalctl(*words: str) -> str:
        command = ["journalctl", "--root", str(tmp_path), *words]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=30, check=True
        ).stdout

    journalctl("--update-catalog")
    listed = dict(line.split(" ", 1) for line in journalctl("--list-catalog").splitlines())
    assert set(listed) == {kind.id for kind in kinds.KINDS.values()}
    assert listed[kinds.STARTED.id] == "scribed: scribed has started"


def test_the_documentation_has_every_field_and_every_kind() -> None:
    rows = [
        [cell.strip(" `") for cell in line.split("|")[1:-1]]
        for line in (ROOT / "docs" / "journal.md").read_text("utf-8").splitlines()
        if line.startswith("| `") and "SCRIBED_EVENT` | is" not in line
    ]
    fields = {row[0]: row[1] for row in rows if len(row) == 2}
    assert {name: says.strip("`") for name, says in kinds.FIELDS.items()} == fields
    described = {row[0]: (row[2], row[3]) for row in rows if len(row) == 4}
    for event, kind in kinds.KINDS.items():
        short = ", ".join(name.removeprefix("SCRIBED_") for name in kind.fields)
        assert described.pop(event) == (kind.id, short or "–")
    assert not described
