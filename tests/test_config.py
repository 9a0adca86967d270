"""The configuration: an empty file is valid, and every mistake is named, with what is allowed."""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scribed.config import Config
from scribed.configfile import Origins, examine, flatten, parse
from scribed.errors import ConfigError, ExitStatus

THE_FILE = Path(__file__).parent.parent / "config" / "scribed.toml"
KEY = re.compile(r"^# (?=\w+ = )", re.MULTILINE)
NO_HOST = (
    "mqtt.host: is no host's name or address alone; the port belongs into mqtt.port, the user into "
    "mqtt.username, the password into the file of mqtt.password_file"
)
COMMANDS = (
    '"mute", "robot_speaking", "robot_moving", "listen", "flush", "set_language", "set_keyterms", '
    '"restate", "devices", "state", "record", "log_level"'
)


def read(text: str, **variables: str) -> Config:
    return parse(text, variables)[0]


def problems(text: str, **variables: str) -> list[str]:
    """What is said about a configuration that is not valid."""
    with pytest.raises(ConfigError) as caught:
        parse(text, variables)
    assert caught.value.exit_status is ExitStatus.CONFIG
    assert str(caught.value).split("\n") == caught.value.problems
    return caught.value.problems


def problem(text: str, **variables: str) -> str:
    """The one thing that is wrong."""
    (line,) = problems(text, **variables)
    return line


class Manual:
    """config/scribed.toml, and what the comment of each key says."""

    def __init__(self) -> None:
        self.text = THE_FILE.read_text("utf-8")
        self.uncommented = KEY.sub("", self.text)
        self.comments: dict[str, str] = {}
        section = key = ""
        for line in self.text.splitlines():
            if header := re.match(r"\[(.+)\]", line):
                section = header[1]
            elif entry := re.match(r"# (\w+) = \S+\s*(.*)", line):
                key = f"{section}.{entry[1]}"
                self.comments[key] = entry[2]
            elif re.match(r"\s+#", line):
                self.comments[key] += line


@pytest.fixture(scope="module")
def manual() -> Manual:
    return Manual()


def types(struct: type[msgspec.Struct] = Config, prefix: str = "") -> dict[str, Any]:
    """The type of every key path."""
    found: dict[str, Any] = {}
    for name, wanted in typing.get_type_hints(struct, include_extras=True).items():
        if isinstance(wanted, type) and issubclass(wanted, msgspec.Struct):
            found |= types(wanted, f"{prefix}{name}.")
        else:
            found[prefix + name] = wanted
    return found


# The file


def test_as_it_is_the_file_sets_nothing(manual: Manual) -> None:
    assert parse(manual.text, {}) == (Config(), {})


def test_with_every_key_uncommented_the_file_says_the_defaults(manual: Manual) -> None:
    config, origins = parse(manual.uncommented, {})
    assert config == Config()
    assert set(origins.values()) == {"file"}


def test_the_file_has_every_key_once_in_the_order_of_the_code(manual: Manual) -> None:
    assert list(parse(manual.uncommented, {})[1]) == list(flatten(Config()))
    assert len(KEY.findall(manual.text)) == len(flatten(Config()))


def test_the_file_names_the_range_of_each_number_and_the_choices_of_each_word(
    manual: Manual,
) -> None:
    for path, wanted in types().items():
        comment = manual.comments[path]
        if typing.get_origin(wanted) is Annotated:
            meta = typing.get_args(wanted)[1]
            ranges = re.findall(r"-?[\d.]+–[\d.]+", comment)
            assert ranges == ([] if meta.ge is None else [f"{meta.ge}–{meta.le}"]), path
        elif typing.get_origin(wanted) in (Literal, tuple):
            several = typing.get_origin(wanted) is tuple
            choices = typing.get_args(typing.get_args(wanted)[0] if several else wanted)
            words = re.findall(r'[\w.]+|""', comment)
            assert [c for c in choices if (str(c) or '""') not in words] == [], path


def test_the_file_has_nothing_secret_to_fill_in() -> None:
    assert not [path for path in flatten(Config()) if re.search(r"(key|password|token)$", path)]


# What is valid


def test_an_empty_file_is_valid() -> None:
    assert parse("", {}) == (Config(), {})


def test_each_value_has_its_origin() -> None:
    variables = {
        "SCRIBED_MQTT__PORT": "1884",
        "SCRIBED_PROVIDER__ELEVENLABS__MODEL_ID": "scribe_v3_live",
    }
    config, origins = parse('[mqtt]\nhost = "hub"\nport = 1', variables)
    assert (config.mqtt.host, config.mqtt.port) == ("hub", 1884)
    assert config.provider.elevenlabs.model_id == "scribe_v3_live"
    assert origins == {
        "mqtt.host": "file",
        "mqtt.port": "SCRIBED_MQTT__PORT",
        "provider.elevenlabs.model_id": "SCRIBED_PROVIDER__ELEVENLABS__MODEL_ID",
    }


@pytest.mark.parametrize(
    ("variable", "text", "path", "value"),
    [
        ("SCRIBED_VAD__HANGOVER_MS", "700", "vad.hangover_ms", 700),
        ("SCRIBED_VAD__MAX_UTTERANCE_S", "20", "vad.max_utterance_s", 20.0),
        ("SCRIBED_MQTT__TLS", "true", "mqtt.tls", True),
        ("SCRIBED_PROVIDER__KEY_FILE", "/run/secret", "provider.key_file", "/run/secret"),
        # For a key that takes strings everything is one …
        ("SCRIBED_ROBOT__ID", "007", "robot.id", "007"),
        ("SCRIBED_MQTT__USERNAME", "true", "mqtt.username", "true"),
        ("SCRIBED_MQTT__HOST", "1.5", "mqtt.host", "1.5"),
        ("SCRIBED_MQTT__HOST", "fe80::1%eth0", "mqtt.host", "fe80::1%eth0"),
        ("SCRIBED_MQTT__CLIENT_ID", "2020-01-01", "mqtt.client_id", "2020-01-01"),
        ("SCRIBED_MQTT__CLIENT_ID", "[]", "mqtt.client_id", "[]"),
        ("SCRIBED_MQTT__CLIENT_ID", "", "mqtt.client_id", ""),
        ("SCRIBED_MQTT__PROTOCOL", "5", "mqtt.protocol", "5"),
        ("SCRIBED_MQTT__PROTOCOL", "3.1.1", "mqtt.protocol", "3.1.1"),
        # … and for one that takes both a number is a number.
        ("SCRIBED_AUDIO__CHANNEL", "1", "audio.channel", 1),
        ("SCRIBED_AUDIO__CHANNEL", "mix", "audio.channel", "mix"),
        ("SCRIBED_AUDIO__HIGH_PASS", "true", "audio.high_pass", True),
        ("SCRIBED_AUDIO__HIGH_PASS", "10", "audio.high_pass", 10.0),
        ("SCRIBED_AUDIO__NOISE_SUPPRESSION", "gate", "audio.noise_suppression", "gate"),
        # A list is one of TOML.
        ("SCRIBED_MQTT__COMMANDS", "['restate', \"mute\"]", "mqtt.commands", ("restate", "mute")),
        ("SCRIBED_MQTT__COMMANDS", "[]", "mqtt.commands", ()),
    ],
)
def test_a_variable_overrides_a_key(variable: str, text: str, path: str, value: object) -> None:
    config, origins = parse("", {variable: text})
    assert flatten(config)[path] == value
    assert origins == {path: variable}


def test_other_variables_are_none_of_ours() -> None:
    assert read("", SCRIBED_BOOT_ID="1", SCRIBED="2", MQTT__PORT="0") == Config()


@pytest.mark.parametrize("url", ["", "wss://eu.example", "wss://h:8443/base", "ws://127.0.0.1:80"])
@pytest.mark.parametrize("topic", ["scribed/{robot}/{source}", "ear", "a/{source}/b", "{robot}"])
def test_an_endpoint_and_a_topic_as_they_should_be(url: str, topic: str) -> None:
    config = read(f'provider.url = "{url}"\nmqtt.topic = "{topic}"')
    assert (config.provider.url, config.mqtt.topic) == (url, topic)


@pytest.mark.parametrize("host", ["localhost", "127.8.0.1", "[::1]:80"])
def test_unencrypted_speech_may_go_to_this_machine(host: str) -> None:
    assert read(f'provider.url = "ws://{host}"').provider.url == f"ws://{host}"


# What is not


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[mqtt]\nprot = 1", "mqtt.prot: unknown key; did you mean mqtt.port?"),
        ("[vad]\nhangover = 1", "vad.hangover: unknown key; did you mean vad.hangover_ms?"),
        ("[mqqt]\nport = 1", "mqqt: unknown key; did you mean mqtt?"),
        (
            "[provider.elevenlabs]\nmodel = 1",
            "provider.elevenlabs.model: unknown key; did you mean provider.elevenlabs.model_id?",
        ),
        (
            "[log]\nxyz = 1",
            "log.xyz: unknown key; known here: level",
        ),
        ('[log]\n"a b\\n" = 1', 'log."a b\\n": unknown key; known here: level'),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest(text: str, line: str) -> None:
    assert problem(text) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "[audio]\nhangover_ms = 500",
            "audio.hangover_ms: unknown key here; did you mean vad.hangover_ms?",
        ),
        ("port = 1883", "port: unknown key here; did you mean mqtt.port?"),
        (
            '[elevenlabs]\nmodel_id = "x"',
            "elevenlabs: unknown key here; did you mean provider.elevenlabs?",
        ),
    ],
)
def test_a_key_in_the_wrong_section_is_sent_to_the_right_one(text: str, line: str) -> None:
    assert problem(text) == line


@pytest.mark.parametrize("text", ["mqtt = 5", "[[mqtt]]\nport = 1", 'mqtt = "x"'])
def test_a_section_that_is_none_is_said_to_be_one(text: str) -> None:
    assert problem(text) == "mqtt: is a section; write [mqtt] and its keys below"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("port = 70000", "mqtt.port: 70000 is not allowed; it is a whole number from 1 to 65535"),
        ("port = 0", "mqtt.port: 0 is not allowed; it is a whole number from 1 to 65535"),
        ('port = "x"', 'mqtt.port: "x" is not allowed; it is a whole number from 1 to 65535'),
        ("port = 1.5", "mqtt.port: 1.5 is not allowed; it is a whole number from 1 to 65535"),
        ("port = true", "mqtt.port: true is not allowed; it is a whole number from 1 to 65535"),
        ("port = {}", "mqtt.port: {} is not allowed; it is a whole number from 1 to 65535"),
        ("tls = 1", "mqtt.tls: 1 is not allowed; it is true or false"),
        ("host = 1", "mqtt.host: 1 is not allowed; it is a string"),
        ("host = [1, false]", "mqtt.host: [1, false] is not allowed; it is a string"),
        ("host = 2020-01-01", 'mqtt.host: "2020-01-01" is not allowed; it is a string'),
        ("protocol = 5", 'mqtt.protocol: 5 is not allowed; one of "auto", "5", "3.1.1"'),
    ],
)
def test_a_value_of_the_wrong_kind_is_shown_with_what_is_allowed(text: str, line: str) -> None:
    assert problem("[mqtt]\n" + text) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("audio.stall_s = nan", "audio.stall_s: NaN is not allowed; it is a number from 0.5 to 60"),
        (
            "audio.stall_s = -inf",
            "audio.stall_s: -Infinity is not allowed; it is a number from 0.5 to 60",
        ),
        ("audio.frame_ms = 25", "audio.frame_ms: 25 is not allowed; one of 10, 20, 30"),
        (
            "audio.high_pass = 501",
            "audio.high_pass: 501 is not allowed; "
            "it is true (80 Hz), false, or a frequency from 5 to 500 Hz",
        ),
        (
            'audio.auto_gain = "sent"',
            'audio.auto_gain: "sent" is not allowed; '
            'it is true, false, or one of "gate", "uplink": for that one only',
        ),
        (
            'robot.id = "R 7"',
            'robot.id: "R 7" is not allowed; it is lower-case letters, digits, _ and -',
        ),
        (
            'provider.language = "english"',
            'provider.language: "english" is not allowed; '
            'it is "auto" or an ISO 639 code, as "en" or "deu"',
        ),
        (
            f'provider.elevenlabs.transcript_edit = "{"x" * 2001}"',
            f'provider.elevenlabs.transcript_edit: "{"x" * 78}… is not allowed; '
            "it is an instruction of at most 2000 characters",
        ),
        (
            'provider.elevenlabs.keyterms = "dock"',
            'provider.elevenlabs.keyterms: "dock" is not allowed; it is a list of strings',
        ),
        (
            'provider.region = "au"',
            'provider.region: "au" is not allowed; one of "", "us", "eu", "in", "sg"',
        ),
        (
            'mqtt.commands = ["mute", "reboot"]',
            f'mqtt.commands: ["mute", "reboot"] is not allowed; it is a list of any of {COMMANDS}',
        ),
        (
            'mqtt.commands = "mute"',
            f'mqtt.commands: "mute" is not allowed; it is a list of any of {COMMANDS}',
        ),
        (
            'mqtt.commands = ["mute\\n"]',
            'mqtt.commands: ["mute\\n"] is not allowed; no control characters',
        ),
        ('mqtt.host = "a\\nb"', 'mqtt.host: "a\\nb" is not allowed; no control characters'),
        (
            'provider.ca_file = "\\u0000"',
            'provider.ca_file: "\\u0000" is not allowed; no control characters',
        ),
    ],
)
def test_a_value_out_of_range_is_named_with_the_range(text: str, line: str) -> None:
    assert problem(text) == line


def ranges() -> list[Any]:
    return [
        pytest.param(path, typing.get_args(wanted)[1], id=path)
        for path, wanted in types().items()
        if typing.get_origin(wanted) is Annotated and typing.get_args(wanted)[1].ge is not None
    ]


@pytest.mark.parametrize(("path", "meta"), ranges())
def test_the_ends_of_a_range_are_in_it_and_what_is_beyond_is_told_both(
    path: str, meta: msgspec.Meta
) -> None:
    for value in (meta.ge, meta.le):
        found = examine(f"{path} = {value}", {})
        assert [line for line in found[2] if "is not allowed" in line] == []
        assert flatten(found[0])[path] == value
    for value in (float(meta.ge or 0) - 1, 1e9):
        text = f"{path} = {value if isinstance(flatten(Config())[path], float) else int(value)}"
        assert f"from {meta.ge} to {meta.le}" in problem(text)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "vad.start_ms = 200",
            "vad.start_ms: 200 does not fit into vad.start_window_ms = 120; "
            "make it at most as long",
        ),
        (
            'audio.channel = "left"',
            'audio.channel: "left" is not allowed; "mix", or a number from 0',
        ),
        ("audio.channel = 8", "audio.channel: 8 is not allowed; a number from 0 to 7"),
        ("audio.channel = -1", "audio.channel: -1 is not allowed; a number from 0 to 7"),
        (
            "audio = {channels = 2, channel = 2}",
            "audio.channel: 2 is not allowed; a number from 0 to 1",
        ),
        (
            'audio.source = "file"',
            'audio.path: is needed with audio.source = "file"; name a recording',
        ),
        (
            'audio.device = ""',
            'audio.device: is empty; "auto" or the name of an ALSA capture device',
        ),
        (
            "spool.max_mb = 16",
            "spool.runtime_max_mb: 32 is more than spool.max_mb = 16; make it at most as much: "
            "what is in the one has to fit into the other",
        ),
        (
            "recorder = {seconds = 60, max_mb = 1}",
            "recorder.max_mb: 1 has no room for one recording of recorder.seconds = 60.0; "
            "make it at least 2",
        ),
        ("retry.initial_s = 60", "retry.initial_s: 60.0 is longer than retry.max_s = 30.0"),
        (
            'mqtt.password_file = "/run/password"',
            "mqtt.username: is empty, but there is a mqtt.password_file; name the user",
        ),
        ('mqtt.host = ""', "mqtt.host: is empty; name the broker's host"),
        ('mqtt.host = "mqtt://me:s3cret@hub"', NO_HOST),
        ('mqtt.host = "me:s3cret@hub"', NO_HOST),
        ('mqtt.host = "hub:1883"', NO_HOST),
        ('mqtt.host = "[::1]"', NO_HOST),
        ('mqtt.host = "hub/mqtt"', NO_HOST),
        (
            'mqtt.path = "/mqtt"',
            'mqtt.path: is for mqtt.transport = "websockets" or "unix"; leave it empty',
        ),
        (
            'mqtt.transport = "unix"\nmqtt.path = "broker.sock"',
            'mqtt.path: "broker.sock" is not allowed; the whole path of the broker\'s socket, of '
            "at most 107 bytes",
        ),
        (
            'mqtt.transport = "unix"\nmqtt.path = "/run/mqtt.sock"\nmqtt.tls = true',
            "mqtt.tls: a Unix socket needs none; leave it false",
        ),
        (
            'mqtt.transport = "websockets"\nmqtt.path = "/a path"',
            'mqtt.path: "/a path" is not allowed; a path of a URL, as "/mqtt"',
        ),
        (
            'mqtt.key_file = "/etc/scribed/key.pem"',
            "mqtt.key_file: there is no mqtt.cert_file whose key it is; name it",
        ),
        (
            'audio.source = "url"',
            'audio.path: is needed with audio.source = "url"; name a URL that ffmpeg can read',
        ),
        (
            'cost.at_limit = "spool"',
            'cost.at_limit: "spool" needs a limit; '
            "say in cost.daily_limit_s how many seconds a day may cost",
        ),
    ],
)
def test_keys_that_contradict_each_other_are_named(text: str, line: str) -> None:
    assert problem(text) == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("vad.early_commit_ms = 99", "99 is too short; 0 (off), or at least 100"),
        (
            "vad.early_commit_ms = 500",
            "500 is not before vad.hangover_ms = 500 has ended the utterance; "
            "make it shorter, or 0 (off)",
        ),
        (
            'vad.early_commit_ms = 200\nprovider.name = "openmind"',
            'needs provider.name = "elevenlabs"; else 0 (off)',
        ),
        (
            'vad.early_commit_ms = 200\nprovider.elevenlabs.commit_strategy = "vad"',
            'needs provider.elevenlabs.commit_strategy = "manual", and it is "vad"; else 0 (off)',
        ),
    ],
)
def test_an_early_commit_is_before_the_end_and_ours_to_make(text: str, line: str) -> None:
    assert problem(text) == f"vad.early_commit_ms: {line}"


def test_an_early_commit_within_the_hangover_is_valid() -> None:
    assert read("vad = {early_commit_ms = 499, hangover_ms = 500}").vad.early_commit_ms == 499


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["stop", "?!"], '"?!" has no word in it; letters or digits, as "stop"'),
        (["a" * 41], f'"{"a" * 41}" has 41 characters; at most 40 each'),
        (["Stop", "stop!"], '"stop!" and "Stop" are both word/stop; leave out one of them'),
        (["go", "go"], '"go" and "go" are both word/go; leave out one of them'),
        ([f"word {n}" for n in range(33)], "33 are too many; at most 32"),
    ],
)
def test_a_fast_word_is_a_word_and_each_has_a_topic_of_its_own(words: list[str], line: str) -> None:
    text = f"transcript.fast_words = {json.dumps(words)}"
    assert problem(text) == f"transcript.fast_words: {line}"


@pytest.mark.parametrize(
    ("listen", "allowed"),
    [
        ("9469", "unix:PATH or HOST:PORT, as 127.0.0.1:9469"),
        ("127.0.0.1:0", "unix:PATH or HOST:PORT, as 127.0.0.1:9469"),
        ("127.0.0.1:65536", "unix:PATH or HOST:PORT, as 127.0.0.1:9469"),
        ("unix:metrics.sock", "an absolute path, as unix:/run/scribed/metrics.sock"),
        ("unix:/" + "x" * 107, "the path of a socket has at most 107 bytes"),
        (
            "0.0.0.0:9469",
            "a loopback address: whoever reaches it may read it. For other machines have a proxy "
            "that asks who they are in front of it",
        ),
    ],
)
def test_figures_are_for_this_machine(listen: str, allowed: str) -> None:
    (line,) = problems(f'metrics.listen = "{listen}"')
    assert line.startswith("metrics.listen: ")
    assert line.endswith(f" is not allowed; {allowed}")


def test_a_region_stands_for_an_endpoint_of_elevenlabs() -> None:
    assert read('provider.region = "eu"').provider.region == "eu"
    assert problem('provider = {region = "eu", url = "wss://h"}') == (
        "provider.region: has no effect beside provider.url; leave out one of them"
    )
    assert problem('provider = {region = "eu", name = "openmind"}') == (
        "provider.region: openmind has none; leave it out"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("vad_threshold = 0.05", "vad_threshold: 0.05 is not allowed; "
         "0 (the service's own), or at least 0.1"),
        ("keepalive_interval_ms = 499", "keepalive_interval_ms: 499 is not allowed; "
         "0 (off), or at least 500"),
        ('keyterms = ["dock", "a term of 21 letters."]',
         'keyterms: "a term of 21 letters." has 21 characters; at most 20 each'),
        ('keyterms = ["dock", " "]', "keyterms: one is empty; leave it out"),
        ("keyterms = [" + ", ".join(f'"k{n}"' for n in range(51)) + "]",
         'keyterms: 51 are too many; at most 50, leave out those from "k50" on'),
        ('secondary_languages = ["de", "auto"]',
         'secondary_languages: "auto" is not allowed; ISO 639 codes, as "en" or "deu"'),
        ("filter_background_audio = true",
         "filter_background_audio: the service refuses it together with include_timestamps; "
         "set include_timestamps = false"),
        ('transcript_edit = "shout"\nentity_detection = ["all"]',
         "entity_detection: the service refuses it together with transcript_edit; "
         "leave out one of them"),
        ('transcript_edit = "shout"\nentity_redaction = ["pii"]',
         "entity_redaction: the service refuses it together with transcript_edit; "
         "leave out one of them"),
        ('entity_detection = ["all", "E-Mail"]',
         'entity_detection: "E-Mail" is not allowed; "all", a category as "pii", '
         'or a type as "email_address"'),
        ('token_url = "https://h"', 'token_url: has an effect only with auth = "token"'),
        ('token_command = ["mint"]', 'token_command: has an effect only with auth = "token"'),
        ('auth = "token"\ntoken_command = ["mint"]\ntoken_url = "https://h"',
         "token_url: there is a token_command as well; leave out one of them"),
        ('auth = "token"\ntoken_command = [""]',
         "token_command: names no command; the list begins with a program"),
        ('auth = "token"\ntoken_url = "http://h/token"',
         "token_url: http:// would send key and token unencrypted to h; "
         "use https://, http:// is for a loopback address only"),
        ('auth = "token"\ntoken_url = "wss://h/token"',
         "token_url: the value is not allowed; https://HOST[:PORT][/PATH]"),
        ('auth = "token"\ntoken_url = "https://h/?key=s3cret"',
         "token_url: holds a user or a query; a key belongs into provider.key_file"),
    ],
)  # fmt: skip
def test_what_elevenlabs_would_refuse_is_refused_before_connecting(text: str, line: str) -> None:
    assert problem(f"[provider.elevenlabs]\n{text}") == f"provider.elevenlabs.{line}"


def test_every_keyterm_that_is_too_long_is_named() -> None:
    lines = problems(f'provider.elevenlabs.keyterms = ["{"a" * 21}", "b", "{"c" * 30}"]')
    assert [re.findall('"(.).*" has (.*) characters', line) for line in lines] == [
        [("a", "21")],
        [("c", "30")],
    ]


@pytest.mark.parametrize(
    "text",
    [
        "filter_background_audio = true\ninclude_timestamps = false",
        'entity_detection = ["all"]\nentity_redaction = ["pii", "email_address"]',
        'auth = "token"',
        'auth = "token"\ntoken_url = "https://h/token"',
        'auth = "token"\ntoken_url = "http://127.0.0.1:8080"',
        'auth = "token"\ntoken_command = ["/usr/local/bin/mint", "r7"]',
        'secondary_languages = ["de", "deu", "pt-BR"]',
        f'keyterms = ["{"ä" * 20}"]',
        "vad_threshold = 0.1\nkeepalive_interval_ms = 500",
    ],
)
def test_what_elevenlabs_takes_is_valid(text: str) -> None:
    examined = examine(f"[provider.elevenlabs]\n{text}", {})
    assert examined[2] == []


def test_languages_that_are_none_are_named() -> None:
    assert problems('provider.languages = ["en-US", "english", ""]') == [
        f'provider.languages: "{code}" is not allowed; ISO 639 codes, as "en" or "deu"'
        for code in ("english", "")
    ]


@pytest.mark.parametrize(
    "url",
    ["https://h", "wss://", "example.com", "wss://h:99999", "wss://h:x", "wss://h:0", "wss://[::1"],
)
def test_an_endpoint_of_the_wrong_form_is_told_the_right_one(url: str) -> None:
    assert problem(f'provider.url = "{url}"') == (
        "provider.url: the value is not allowed; wss://HOST[:PORT][/PATH]"
    )


@pytest.mark.parametrize(
    "text",
    [
        'provider.url = "wss://me:s3cret"',
        'provider.url = "me:s3cret"',
        'provider.url = "wss://me:s3cret@["',
        'provider.url = "wss://me:s3cret@h\\n"',
        'provider.url = ["wss://me:s3cret@h"]',
        'provider.url = {key = "s3cret"}',
        'provider.key_file = "s3cret\\n"',
        'provider.key_file = ["s3cret"]',
        'provider.elevenlabs = {auth = "token", token_url = "https://me:s3cret@h"}',
        'provider.elevenlabs = {auth = "token", token_command = ["mint", "s3cret\\n"]}',
        'audio.path = "rtsp://me:s3cret@h\\n"',
        'mqtt = {username = "ear", password_file = "s3cret\\u0007"}',
    ],
)
def test_where_a_secret_may_stand_by_mistake_the_value_is_not_shown(text: str) -> None:
    assert "s3cret" not in problem(text)


@pytest.mark.parametrize(
    "url",
    [
        "wss://me:s3cret@h",
        "wss://:s3cret@h",
        "wss://me:s3cret@h:99999",
        "wss://h/?key=s3cret",
        "wss://h#s3cret",
        "x:?s3cret",
    ],
)
def test_an_endpoint_that_holds_a_secret_is_refused_and_not_shown(url: str) -> None:
    line = problem(f'provider.url = "{url}"')
    assert "provider.key_file" in line
    assert "s3cret" not in line


def test_unencrypted_speech_may_go_to_no_other_machine() -> None:
    assert "use wss://" in problem('provider.url = "ws://example.com"')


@pytest.mark.parametrize(
    "topic",
    ["", "/a", "a/", "$SYS/a", "a/+", "a/#", "{host}", "a{", "a}b", "{}", "{robot!r}", "{{robot}}"],
)
def test_a_topic_that_no_broker_takes_or_nobody_can_fill_in_is_refused(topic: str) -> None:
    assert problem(f'mqtt.topic = "{topic}"').startswith(f'mqtt.topic: "{topic}" is not allowed; ')


def test_a_syntax_error_is_said_with_its_place() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("[mqtt]\nport = = 1", {}, name="/etc/x.toml")
    (line,) = caught.value.problems
    assert line.startswith("/etc/x.toml: not valid TOML: ")
    assert "line 2" in line


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 10_000,
        ".".join("a" * 3000) + " = 1",
        "mqtt.port." + ".".join("a" * 3000) + " = 1",
        "mqtt.port = " + "9" * 5000,
    ],
    ids=["arrays", "tables", "a table for a value", "digits"],
)
def test_a_file_beyond_all_measure_is_a_problem_like_others(text: str) -> None:
    assert len(problem(text)) < 200


def test_a_variable_beyond_all_measure_is_a_problem_like_others() -> None:
    for value in ("9" * 5000, "[" * 10_000):
        line = problem("", SCRIBED_MQTT__PORT=value)
        assert line.endswith("from 1 to 65535 (set by SCRIBED_MQTT__PORT)")
        assert len(line) < 250


def test_a_variable_that_is_at_fault_is_named() -> None:
    assert problem("[mqtt]\nport = 1", SCRIBED_MQTT__PORT="x") == (
        'mqtt.port: "x" is not allowed; it is a whole number from 1 to 65535 '
        "(set by SCRIBED_MQTT__PORT)"
    )
    assert problem("", SCRIBED_MQTTT__PORT="1") == (
        "mqttt: unknown key; did you mean mqtt? (set by SCRIBED_MQTTT__PORT)"
    )
    assert problem("", SCRIBED_MQTT__PROT="1") == (
        "mqtt.prot: unknown key; did you mean mqtt.port? (set by SCRIBED_MQTT__PROT)"
    )
    assert problem("", SCRIBED_MQTT__PORT="\udcff").endswith("(set by SCRIBED_MQTT__PORT)")
    assert problem("", SCRIBED_MQTT__COMMANDS="mute,flush") == (
        'mqtt.commands: "mute,flush" is not allowed; '
        f"it is a list of any of {COMMANDS} (set by SCRIBED_MQTT__COMMANDS)"
    )


def test_all_that_is_wrong_is_said_at_once() -> None:
    lines = problems(
        """
        [audio]
        frame_ms = 25
        gain = 1
        [vad]
        start_ms = 500
        [mqtt]
        topic = "a/#"
        [provider]
        url = "http://h"
        [nonsense]
        """,
        SCRIBED_MQTT__PORT="0",
    )
    assert [line.split(":")[0] for line in lines] == [
        "audio.frame_ms",
        "audio.gain",
        "mqtt.port",
        "nonsense",
        "vad.start_ms",
        "provider.url",
        "mqtt.topic",
    ]


def test_what_follows_from_a_wrong_value_is_not_a_second_problem() -> None:
    assert problem("[vad]\nstart_ms = 5000\nstart_window_ms = 50").startswith("vad.start_ms: 5000")


# Whatever is written

scalars = st.one_of(
    st.text(max_size=8),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, 1, -1, 10, 16000, 10**400]),
    st.floats(),
    st.booleans(),
    st.dates(),
    st.times(),
    st.datetimes(),
    st.sampled_from(["wss://", "wss://[", "{", "{robot", "a/{robot}/+", "auto", "mix", "file"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
paths = st.sampled_from(list(flatten(Config()))) | st.sampled_from(list(Config.__struct_fields__))


def toml(value: Any) -> str:
    """`value` in TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(char):08x}" for char in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def outcome(text: str, variables: Mapping[str, str]) -> tuple[Config, Origins] | list[str]:
    """What `parse()` comes to: the configuration, or problems of a line each."""
    try:
        return parse(text, variables)
    except ConfigError as exc:
        said = exc.problems
    assert said
    assert all(len(line.splitlines()) == 1 for line in said)
    return said


@given(st.dictionaries(paths, values, max_size=4), st.dictionaries(st.text(), values, max_size=2))
def test_whatever_values_stand_there_the_answer_is_a_configuration_or_its_problems(
    known: dict[str, Any], unknown: dict[str, Any]
) -> None:
    lines = [f"{path} = {toml(value)}" for path, value in known.items()]
    lines += [f"{toml(key)} = {toml(value)}" for key, value in unknown.items()]
    found = outcome("\n".join(lines), {})
    if isinstance(found, tuple):
        msgspec.json.encode(found[0])  # as for the fingerprint in `state`
        again = msgspec.convert(msgspec.to_builtins(found[0]), Config)
        assert again == found[0]  # nothing is in there that its own types refuse


@given(st.dictionaries(paths, st.text(), max_size=3))
@example({"provider.url": "wss://[", "mqtt.topic": "{"})
@example({"mqtt.host": "\udcff"})
def test_whatever_variables_say_the_answer_is_a_configuration_or_its_problems(
    said: dict[str, str],
) -> None:
    variables = {"SCRIBED_" + k.upper().replace(".", "__"): v for k, v in said.items()}
    found = outcome("", variables)
    if isinstance(found, tuple):
        msgspec.json.encode(found[0])


@given(st.text())
def test_whatever_a_file_holds_the_answer_is_a_configuration_or_its_problems(text: str) -> None:
    outcome(text, {})
