"""One broker in the same words for every command, whichever way it is reached."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from scribed.cli import initial
from scribed.cli.addresses import word
from scribed.cli.init import configure
from scribed.cli.initial import Draft
from scribed.cli.questions import Questions
from scribed.demo.broker import Broker, ServerTls
from tests.cli.shell import Shell


class Way:
    """A broker, the words that lead to it, and what `scribed init` makes of them."""

    def __init__(self, broker: Broker, words: list[str], written: list[str]) -> None:
        self.broker, self.words, self.written = broker, words, written


def websockets(home: Path) -> Way:
    broker = Broker(home, transport="websockets")
    port = broker.port
    written = ['transport = "websockets"', 'path = "/mqtt"', f"port = {port}"]
    return Way(broker, ["--broker", f"ws://127.0.0.1:{port}/mqtt"], written)


def unix(home: Path) -> Way:
    broker = Broker(home, transport="unix")
    written = ['transport = "unix"', f'path = "{broker.unix}"']
    return Way(broker, ["--broker", f"unix:{broker.unix}"], written)


def certified(home: Path) -> Way:
    """TLS, with a certificate of ours whose key is a file of its own."""
    authority = trustme.CA()
    files = {name: home / f"{name}.pem" for name in ("ca", "server", "server-key", "own", "key")}
    authority.cert_pem.write_to_path(files["ca"])
    server, own = authority.issue_cert("127.0.0.1"), authority.issue_cert("r7.example")
    server.private_key_pem.write_to_path(files["server-key"])
    server.cert_chain_pems[0].write_to_path(files["server"])
    own.private_key_pem.write_to_path(files["key"])
    own.cert_chain_pems[0].write_to_path(files["own"])
    files["key"].chmod(0o600)
    broker = Broker(home, tls=ServerTls(files["server"], files["server-key"], files["ca"]))
    words = ["--broker", f"127.0.0.1:{broker.port}", "--ca-file", str(files["ca"])]
    words += ["--client-cert", str(files["own"]), "--client-key", str(files["key"])]
    written = ["tls = true", f'cert_file = "{files["own"]}"', f'key_file = "{files["key"]}"']
    return Way(broker, words, written)


@pytest.mark.parametrize("way_of", [websockets, unix, certified])
def test_the_same_words_lead_each_command_to_the_same_broker(
    tmp_path: Path, way_of: Callable[[Path], Way]
) -> None:
    (home := tmp_path / "broker").mkdir()
    way, shell = way_of(home), Shell(tmp_path)
    with way.broker:
        said = shell.scribed("init", "--yes", *way.words, "-c", "robot/ear.toml")
        assert (said.status, said.err) == (0, "")
        assert "nothing published" in said.out
        lines = shell.home.joinpath("robot/ear.toml").read_text().splitlines()
        assert set(way.written) <= set(lines)
        said = shell.scribed("retire", "r7", *way.words)
        assert (said.status, said.err) == (0, "")
        assert said.out.startswith("nothing of r7 is retained")


def test_the_words_of_one_way_do_not_outlive_it(tmp_path: Path) -> None:
    draft = Draft(tmp_path / "ear.toml", {}, {})
    configure(parser := argparse.ArgumentParser())
    for where in ("ws://127.0.0.1:1/x", "unix:/nowhere", "127.0.0.1:1"):
        given = parser.parse_args(["--yes", "--broker", where])
        initial.broker(draft, Questions(yes=True), given)
        assert word(draft.config().mqtt) == where
    assert draft.values == {"mqtt.host": "127.0.0.1", "mqtt.port": 1, "mqtt.tls": False}
