"""Secrets: where they are looked for, which file is not private enough, and that no error tells."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest
from msgspec.structs import replace

from scribed.config import Config, ElevenLabs, Mqtt, OpenMind, ProviderSection
from scribed.errors import ScribedError
from scribed.service.credentials import (
    api_key,
    configured_key,
    credential,
    digests,
    idle_password,
    key_name,
    key_problem,
    may_be_keyless,
    mqtt_client_key,
    mqtt_password,
    with_client_key,
)

SECRET = "sk_0123456789"
NAME, KEY, VARIABLE = "elevenlabs-api-key", "provider.key_file", "ELEVENLABS_API_KEY"


class Places:
    """The three places where a secret may be."""

    def __init__(self, root: Path) -> None:
        self.directory = root / "credentials"
        self.directory.mkdir()
        self.file = root / "key"
        self.environ = {"CREDENTIALS_DIRECTORY": str(self.directory)}
        self.named = ""

    def systemd(self, content: str) -> Places:
        (self.directory / NAME).write_text(content)
        return self

    def private_file(self, content: str | bytes, mode: int = 0o600) -> Places:
        self.file.write_bytes(content.encode() if isinstance(content, str) else content)
        self.file.chmod(mode)
        self.named = str(self.file)
        return self

    def variable(self, content: str) -> Places:
        self.environ[VARIABLE] = content
        return self

    def look(self, variable: str | None = VARIABLE) -> str | None:
        return credential(NAME, file=self.named, key=KEY, variable=variable, environ=self.environ)

    def problem(self) -> str:
        """Why a place cannot be used; neither it nor its traceback holds a part of the secret."""
        with pytest.raises(ScribedError) as caught:
            self.look()
        assert SECRET[:6] not in "".join(traceback.format_exception(caught.value))
        assert len(str(caught.value).splitlines()) == 1
        return str(caught.value)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def test_where_there_is_none_there_is_none(places: Places) -> None:
    assert places.look() is None
    assert places.variable("").look() is None
    places.environ = {}
    assert places.look() is None


def test_systemds_credential_counts_before_the_file_and_the_file_before_the_variable(
    places: Places,
) -> None:
    assert places.variable("from-environ").look() == "from-environ"
    assert places.private_file("from-file").look() == "from-file"
    assert places.systemd("from-systemd").look() == "from-systemd"


def test_a_secret_without_a_variable_is_not_looked_for_in_the_environment(places: Places) -> None:
    assert places.variable(SECRET).look(variable=None) is None


@pytest.mark.parametrize("written", [SECRET, f"{SECRET}\n", f"  {SECRET}\r\n\n"])
def test_space_around_a_secret_is_none_of_it(places: Places, written: str) -> None:
    assert places.variable(written).look() == SECRET
    assert places.private_file(written).look() == SECRET
    assert places.systemd(written).look() == SECRET


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o610])
def test_a_file_that_is_open_to_others_is_refused_with_the_remedy(
    places: Places, mode: int
) -> None:
    assert places.private_file(SECRET, mode).problem() == (
        f"{KEY}: {places.file} is open to others (mode {mode:04o}); chmod 600 {places.file}"
    )


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_private_file_is_taken(places: Places, mode: int) -> None:
    assert places.private_file(SECRET, mode).look() == SECRET


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(places: Places) -> None:
    os.chown(places.private_file(SECRET).file, 65534, 65534)
    assert places.problem() == (
        f"{KEY}: {places.file} belongs to another user; chown it to this one"
    )


def test_a_credential_of_systemd_may_be_readable_for_its_group(places: Places) -> None:
    places.systemd(SECRET)
    (places.directory / NAME).chmod(0o440)  # as systemd makes them for a user
    assert places.look() == SECRET


def test_a_file_that_is_not_there_is_said(places: Places) -> None:
    places.named = str(places.file)
    assert places.problem() == f"{KEY}: {places.file} cannot be read: No such file or directory"


def test_a_directory_is_no_file(places: Places) -> None:
    places.file.mkdir(mode=0o700)
    places.named = str(places.file)
    assert places.problem() == f"{KEY}: {places.file} cannot be read: Is a directory"


def test_a_path_may_begin_in_the_home_directory(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    places.private_file(SECRET)
    monkeypatch.setenv("HOME", str(places.file.parent))
    places.named = "~/key"
    assert places.look() == SECRET


def test_the_home_of_nobody_known_is_said(places: Places) -> None:
    places.named = "~no-such-user/key"
    assert places.problem() == (
        f"{KEY}: ~no-such-user/key names no home directory; write the whole path"
    )


def test_an_empty_file_is_said(places: Places) -> None:
    assert places.private_file("\n").problem() == f"{KEY}: {places.file} is empty"
    assert places.systemd(" ").problem() == (
        f"the credential {NAME}: {places.directory / NAME} is empty"
    )


@pytest.mark.parametrize("written", [f"{SECRET}\n{SECRET}", f"key: {SECRET}", f"{SECRET}\0"])
def test_a_file_with_more_than_the_secret_is_refused_and_not_shown(
    places: Places, written: str
) -> None:
    remedy = "must hold the secret alone, on one line"
    assert places.private_file(written).problem() == f"{KEY}: {places.file} {remedy}"


def test_a_variable_with_more_than_the_secret_is_refused_and_not_shown(places: Places) -> None:
    assert places.variable(f"{SECRET}\nx: y").problem() == (
        f"{VARIABLE} must hold the secret alone, on one line"
    )


def test_a_file_that_is_no_text_is_refused_and_not_shown(places: Places) -> None:
    assert places.private_file(SECRET.encode() + b"\xff").problem() == (
        f"{KEY}: {places.file} is not a text file"
    )


def test_a_credential_that_cannot_be_looked_at_is_not_taken_for_none(places: Places) -> None:
    places.environ["CREDENTIALS_DIRECTORY"] = "/" + "x" * 5000
    assert places.variable(SECRET).problem().endswith("cannot be read: File name too long")


def test_a_directory_of_credentials_that_is_gone_has_none(places: Places) -> None:
    places.environ["CREDENTIALS_DIRECTORY"] = str(places.file / "nowhere")
    assert places.variable(SECRET).look() == SECRET


# Those that there are


def test_the_providers_key_is_looked_for_in_all_its_places(places: Places) -> None:
    assert api_key(ProviderSection(), places.variable("from-environ").environ) == "from-environ"
    places.private_file("from-file")
    assert api_key(ProviderSection(key_file=places.named), places.environ) == "from-file"
    places.systemd("from-systemd")
    assert api_key(ProviderSection(key_file=places.named), places.environ) == "from-systemd"


def test_without_a_key_all_places_where_it_may_be_put_are_named(places: Places) -> None:
    with pytest.raises(ScribedError) as caught:
        api_key(ProviderSection(), places.environ)
    for place in ("credential elevenlabs-api-key", "provider.key_file", "ELEVENLABS_API_KEY"):
        assert place in str(caught.value)


def test_each_provider_has_a_key_of_its_own(places: Places) -> None:
    openmind = ProviderSection(name="openmind")
    places.variable(SECRET)
    assert configured_key(openmind, places.environ) is None
    places.environ["OPENMIND_API_KEY"] = "om1_live_variable"
    assert api_key(openmind, places.environ) == "om1_live_variable"
    (places.directory / "openmind-api-key").write_text("om1_live_systemd")
    assert api_key(openmind, places.environ) == "om1_live_systemd"
    assert api_key(ProviderSection(), places.environ) == SECRET
    assert key_name(openmind) == "openmind-api-key"
    assert key_name(ProviderSection()) == "elevenlabs-api-key"


def test_without_a_key_of_openmind_its_look_and_its_places_are_named(places: Places) -> None:
    assert key_problem(ProviderSection(name="openmind"), places.environ) == (
        "no API key: put it (om1_live_…) in the credential openmind-api-key, in a file that "
        "provider.key_file names (chmod 600), or in OPENMIND_API_KEY"
    )


@pytest.mark.parametrize(
    "provider",
    [
        ProviderSection(elevenlabs=ElevenLabs(auth="token", token_url="https://h")),
        ProviderSection(elevenlabs=ElevenLabs(auth="token", token_command=("mint",))),
        ProviderSection(
            name="openmind", url="ws://localhost:6790", openmind=OpenMind(route="riva")
        ),
    ],
)
def test_where_others_make_the_tokens_or_hear_themselves_no_key_is_needed(
    places: Places, provider: ProviderSection
) -> None:
    assert may_be_keyless(provider)
    assert key_problem(provider, places.environ) is None
    assert configured_key(provider, places.environ) is None


@pytest.mark.parametrize(
    "provider",
    [
        ProviderSection(),
        ProviderSection(elevenlabs=ElevenLabs(auth="token")),
        ProviderSection(
            name="openmind", elevenlabs=ElevenLabs(auth="token", token_url="https://h")
        ),
        ProviderSection(name="openmind", openmind=OpenMind(route="riva")),
        ProviderSection(name="openmind", url="wss://h"),
    ],
)
def test_else_one_is_needed(places: Places, provider: ProviderSection) -> None:
    assert not may_be_keyless(provider)
    assert str(key_problem(provider, places.environ)).startswith("no API key: ")


def test_a_key_that_is_there_and_cannot_be_used_is_a_problem_even_where_none_is_needed(
    places: Places,
) -> None:
    options = ElevenLabs(auth="token", token_command=("mint",))
    named = places.private_file(SECRET, 0o644).named
    problem = key_problem(ProviderSection(elevenlabs=options, key_file=named), places.environ)
    assert problem == f"{KEY}: {named} is open to others (mode 0644); chmod 600 {named}"


def test_the_brokers_password_is_in_a_credential_or_a_file_and_in_no_variable(
    places: Places,
) -> None:
    places.environ["MQTT_PASSWORD"] = SECRET
    assert mqtt_password(Config(), places.environ) is None
    config = Config(mqtt=Mqtt(username="ear", password_file=places.private_file("file").named))
    assert mqtt_password(config, places.environ) == "file"
    (places.directory / "mqtt-password").write_text("systemd")
    assert mqtt_password(config, places.environ) == "systemd"


def test_a_password_of_nobody_is_read_and_warned_of(places: Places) -> None:
    (places.directory / "mqtt-password").write_text(SECRET)
    assert mqtt_password(Config(), places.environ) == SECRET
    warning = idle_password(Config(), places.environ)
    assert warning is not None
    assert warning.startswith("mqtt.username: is empty, so the credential mqtt-password is not")
    assert SECRET not in warning


def test_a_password_of_somebody_and_none_at_all_are_nothing_to_warn_of(places: Places) -> None:
    assert idle_password(Config(), places.environ) is None
    (places.directory / "mqtt-password").write_text(SECRET)
    assert idle_password(Config(mqtt=Mqtt(username="ear")), places.environ) is None


def test_the_key_of_our_certificate_is_a_credential_or_a_file_of_our_own(places: Places) -> None:
    key = str(places.private_file("a key", mode=0o644).file)
    mqtt = Mqtt(tls=True, cert_file=key, key_file=key)
    for faulty, name in ((mqtt, "mqtt.key_file"), (replace(mqtt, key_file=""), "mqtt.cert_file")):
        with pytest.raises(ScribedError, match=rf"{name}: .* is open to others"):
            mqtt_client_key(faulty, places.environ)
    places.file.chmod(0o600)
    assert mqtt_client_key(mqtt, places.environ) == key
    assert mqtt_client_key(replace(mqtt, key_file=""), places.environ) == ""
    (from_systemd := places.directory / "mqtt-client-key").write_text("another key")
    assert mqtt_client_key(mqtt, places.environ) == str(from_systemd)
    keyed = with_client_key(Config(mqtt=mqtt), places.environ)
    assert keyed.mqtt.key_file == str(from_systemd)
    assert mqtt_client_key(Mqtt(), places.environ) == "", "there is no certificate"


def test_another_key_of_our_certificate_is_another_secret(places: Places) -> None:
    key = str(places.private_file("a key").file)
    config = Config(mqtt=Mqtt(tls=True, cert_file=key, key_file=key))
    before = digests(config, places.environ, b"salt")
    places.private_file("another key")
    after = digests(config, places.environ, b"salt")
    assert {name for name in before if before[name] != after[name]} == {"mqtt-client-key"}
