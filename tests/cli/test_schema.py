"""`scribed schema`: what a robot's programmer can print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scribed.contract import asyncapi, schemas
from tests.cli.shell import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.mark.parametrize("name", ["transcript", "alert", "cmd/mute"])
def test_one_payload_is_printed_as_it_is(shell: Shell, name: str) -> None:
    said = shell.scribed("schema", name)
    assert (said.status, said.err) == (0, "")
    assert json.loads(said.out) == schemas.document(name)


def test_all_are_printed_by_name_where_none_is_named(shell: Shell) -> None:
    said = shell.scribed("schema")
    assert (said.status, said.err) == (0, "")
    assert json.loads(said.out) == {name: schemas.document(name) for name in schemas.PAYLOADS}


def test_the_asyncapi_document_is_printed(shell: Shell) -> None:
    said = shell.scribed("schema", "--asyncapi")
    assert (said.status, said.err) == (0, "")
    assert json.loads(said.out) == asyncapi.document()


def test_the_list_names_each_with_what_it_is_for(shell: Shell) -> None:
    said = shell.scribed("schema", "--list")
    assert (said.status, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == "below scribed/{robot}/{source}/ (mqtt.topic):"
    assert [line.split()[0] for line in lines[1:] if line[2] != " "] == list(schemas.PAYLOADS)
    assert max(map(len, lines)) <= 100
    assert "never to be obeyed" in said.out


def test_files_are_written_into_a_directory_that_need_not_be_there(shell: Shell) -> None:
    said = shell.scribed("schema", "-o", "a/b")
    assert (said.status, said.err) == (0, "")
    files = sorted(path.name for path in (shell.home / "a/b").iterdir())
    names = [f"{name.replace('/', '-')}.schema.json" for name in schemas.PAYLOADS]
    assert files == sorted([*names, "asyncapi.json"])
    assert sorted(said.out.split()) == [f"a/b/{name}" for name in files]
    written = json.loads((shell.home / "a/b/cmd-mute.schema.json").read_text("utf-8"))
    assert written == schemas.document("cmd/mute")


@pytest.mark.parametrize(
    ("words", "file"),
    [(["late"], "late.schema.json"), (["--asyncapi"], "asyncapi.json")],
)
def test_what_is_chosen_is_written_alone(shell: Shell, words: list[str], file: str) -> None:
    said = shell.scribed("schema", *words, "-o", "out")
    assert (said.status, said.out) == (0, f"out/{file}\n")
    assert [path.name for path in (shell.home / "out").iterdir()] == [file]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["transcripts"], "there is no payload 'transcripts'; there are status, state, transcript"),
        (["late", "--asyncapi"], "NAME goes neither with --asyncapi nor with --list"),
        (["late", "--list"], "NAME goes neither with --asyncapi nor with --list"),
        (["--list", "--asyncapi"], "not allowed with argument"),
        (["--list", "-o", "out"], "--list is printed: -o has nothing to write"),
    ],
)
def test_wrong_usage_is_said_with_what_is_right(shell: Shell, words: list[str], why: str) -> None:
    said = shell.scribed("schema", *words)
    assert (said.status, said.out) == (2, "")
    assert why in said.err


def test_a_place_that_takes_no_file_is_named(shell: Shell) -> None:
    shell.write("file", "")
    for place in ("file", "file/below"):
        said = shell.scribed("schema", "late", "-o", place)
        assert (said.status, said.out) == (1, "")
        assert said.err == f"scribed: {place} is no directory; -o names one, or a new one\n"
    (shell.home / "out/late.schema.json").mkdir(parents=True)
    said = shell.scribed("schema", "late", "-o", "out")
    assert (said.status, said.out) == (1, "")
    assert said.err == "scribed: out/late.schema.json cannot be written: Is a directory\n"
