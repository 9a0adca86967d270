"""What operators get wrong under a real systemd: the journal says what it is, and what to do."""

from __future__ import annotations

import pytest

from tests.system.box import Box, wait_until
from tests.system.conftest import Listen
from tests.system.ear import Ear


def said(ear: Ear) -> list[str]:
    """What scribed itself said, not systemd about it."""
    records = [one for one in ear.records() if one.get("SYSLOG_IDENTIFIER") == "scribed"]
    return [line for one in records for line in str(one["MESSAGE"]).strip().splitlines()]


def test_an_instance_without_a_configuration_ends_with_the_name_of_the_file(listen: Listen) -> None:
    ear = listen("nowhere")
    ear.configuration.unlink()
    ear.systemctl("start", check=False)
    assert ear.show("ActiveState") == "failed"
    assert ear.show("ExecMainStatus") == "78"
    assert said(ear)[-1].endswith(
        "/etc/scribed/nowhere.toml cannot be read: No such file or directory"
    )


def test_a_unit_with_an_option_that_there_is_not_ends_with_its_name(listen: Listen) -> None:
    program = "/usr/lib/scribed/venv/bin/scribed run --lowd"
    ear = listen("option", service=f"ExecStart=\nExecStart={program}\nRestart=no\n")
    ear.systemctl("start", check=False)
    assert ear.show("ActiveState") == "failed"
    assert "unrecognized arguments: --lowd" in said(ear)[-1]


@pytest.mark.parametrize(
    ("name", "service", "told"),
    [
        (
            "readonly",
            "ReadOnlyPaths=/var/lib/scribed/readonly\n",
            "the state directory cannot be written: Read-only file system; what to do: ",
        ),
        (
            "twolines",
            "SetCredential=elevenlabs-api-key:two\\nlines\n",
            "elevenlabs-api-key must hold the secret alone, on one line",
        ),
        (
            "open",
            "Environment=SCRIBED_PROVIDER__KEY_FILE=/etc/scribed/open.key\n",
            "/etc/scribed/open.key is open to others (mode 0644); chmod 600 /etc/scribed/open.key",
        ),
        (
            "roots",
            "Environment=SCRIBED_PROVIDER__KEY_FILE=/etc/scribed/roots.key\n",
            "/etc/scribed/roots.key cannot be read: Permission denied; chown it to the user",
        ),
    ],
)
def test_what_ends_nothing_is_told_with_what_to_do(
    box: Box, listen: Listen, name: str, service: str, told: str
) -> None:
    for key, mode in (("open", 0o644), ("roots", 0o600)):
        path = box.path(f"/etc/scribed/{key}.key")
        path.write_text("sk_0123456789\n", "utf-8")
        path.chmod(mode)
    ear = listen(name, service=service, drop_ins=())
    ear.start()
    wait_until(lambda: any(told in line for line in said(ear)), 10)
