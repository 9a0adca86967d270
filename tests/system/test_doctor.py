"""`scribed doctor`, `init` and `report` beside the unit, as root and under a real systemd."""

from __future__ import annotations

import json
import tarfile
from typing import Any

from scribed.demo.broker import Broker
from tests.parts.cloud import Cloud
from tests.parts.robot import KEY, silence
from tests.system.box import Box
from tests.system.conftest import Listen

SCRIBED = "/usr/lib/scribed/venv/bin/scribed"


def doctor(box: Box, instance: str) -> dict[str, dict[str, Any]]:
    """What it finds, the last of each part."""
    said = box.run(SCRIBED, "doctor", "--json", "-i", instance, check=False)
    return {each["part"]: each for each in json.loads(said)["findings"]}


def test_the_doctor_sees_what_the_unit_has(listen: Listen, cloud: Cloud) -> None:
    ear = listen("ward")
    found = doctor(ear.box, "ward")
    assert found["unit"]["level"] == "warning"
    assert f"{ear.unit} does not run" in found["unit"]["text"]
    assert "/etc/scribed/credentials/elevenlabs-api-key" in found["credentials"]["text"]
    assert found["provider"]["level"] == "ok", "with the key that the unit would have"
    ear.start()
    ear.speak(silence(0.5))
    found = doctor(ear.box, "ward")
    assert found["daemon"]["level"] == "ok"
    assert "elevenlabs-key.conf" in found["unit"]["text"]
    assert found["store"]["text"].endswith(f"in use by the daemon (pid {ear.pid})")
    for part in ("credentials", "provider", "broker", "microphone"):
        assert found[part]["level"] == "ok", found[part]
    assert {request.headers["xi-api-key"] for request in cloud.requests} == {KEY}
    key = ear.box.path("/etc/scribed/credentials/elevenlabs-api-key")
    key.chmod(0o644)
    try:
        found = doctor(ear.box, "ward")
    finally:
        key.chmod(0o600)
    assert found["credentials"]["level"] == "warning"
    assert "is open to others (mode 0644)" in found["credentials"]["text"]


def test_a_unit_that_failed_or_is_not_there_is_said_with_the_way_out(listen: Listen) -> None:
    ear = listen("sick")
    ear.configuration.write_text("vad.aggressiveness = 9\n", "utf-8")
    ear.systemctl("start", check=False)
    found = doctor(ear.box, "sick")
    assert found["unit"]["level"] == "failed"
    assert "status 78" in found["unit"]["text"]
    assert "scribed check" in found["unit"]["remedy"]
    assert found["configuration"]["level"] == "warning"
    assert "what of it is valid" in found["configuration"]["text"]


def test_init_as_root_makes_a_configuration_that_the_unit_runs_with(
    listen: Listen, broker: Broker, cloud: Cloud
) -> None:
    ear = listen("fresh", drop_ins=())
    box = ear.box
    box.path("/run/fresh.key").write_text(KEY + "\n", "utf-8")
    said = box.run(
        *("sh", "-c", 'exec "$0" "$@" </run/fresh.key', SCRIBED, "init", "--yes", "-i", "fresh"),
        *("--key-file", "-", "--url", cloud.url, "--broker", f"127.0.0.1:{broker.port}"),
    )
    assert "ok: elevenlabs: session started" in said
    assert f"systemctl enable --now {ear.unit.removesuffix('.service')}" in said
    assert KEY not in said
    owner = box.run("stat", "-c", "%U %a", "/etc/scribed/elevenlabs-api-key").strip()
    assert owner == "scribed 600"
    assert 'source = "stdin"' in ear.configuration.read_text("utf-8"), "what was set is kept"
    ear.start()
    ear.speak(silence(0.5))
    found = doctor(box, "fresh")
    for part in ("daemon", "credentials", "provider", "broker"):
        assert found[part]["level"] == "ok", found[part]
    box.run("rm", "/etc/scribed/elevenlabs-api-key", "/run/fresh.key")


def test_a_report_has_the_journal_and_the_unit_and_no_key(listen: Listen) -> None:
    ear = listen("tell")
    ear.start()
    ear.speak(silence(0.5))
    ear.box.run(SCRIBED, "report", "-i", "tell", "-o", "/run/tell.tar.gz")
    inside = {}
    with tarfile.open(ear.box.path("/run/tell.tar.gz")) as archive:
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            inside[member.name.partition("/")[2]] = content.read().decode()
    assert "started: scribed" in inside["journal.txt"]
    assert "LoadCredential=elevenlabs-api-key:" in inside["unit.txt"]
    assert json.loads(inside["state.json"])["schema"] == "stt.state/1"
    assert KEY not in "".join(inside.values())
