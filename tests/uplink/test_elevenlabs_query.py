"""What a connection asks of ElevenLabs, in the wire's own form, and what is made of the echo."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
from elevenlabs.realtime.scribe import ScribeRealtime
from hypothesis import example, given
from hypothesis import strategies as st

from scribed.config import Config, ElevenLabs, OpenMind, ProviderSection
from scribed.contradictions import contradictions
from scribed.endpoints import minting_url
from scribed.simulate.dialects import elevenlabs_query as service
from scribed.uplink.providers.elevenlabs_query import (
    MAX_SHOWN,
    differences,
    language,
    notices,
    url,
)

CAPTURED: dict[str, Any] = {  # what the service answered to a connection without parameters
    "sample_rate": 16000,
    "audio_format": "pcm_16000",
    "language_code": None,
    "secondary_languages": [],
    "timestamps_granularity": "word",
    "vad_commit_strategy": False,
    "vad_silence_threshold_secs": 1.5,
    "vad_threshold": 0.4,
    "min_speech_duration_ms": 100,
    "min_silence_duration_ms": 100,
    "max_tokens_to_recompute": 5,
    "model_id": "scribe_v2_realtime",
    "disable_logging": False,
    "include_timestamps": False,
    "include_language_detection": False,
    "filter_background_audio": False,
    "keyterms": [],
    "no_verbatim": False,
    "entity_detection": None,
}


def asking(language: str = "auto", **options: Any) -> ProviderSection:
    return ProviderSection(language=language, elevenlabs=ElevenLabs(**options))


def query(settings: ProviderSection, token: str = "") -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(url(settings, token)).query, strict_parsing=True)


BARE = asking(include_timestamps=False)
ALWAYS = [
    ("model_id", "scribe_v2_realtime"),
    ("audio_format", "pcm_16000"),
    ("commit_strategy", "manual"),
]


# Where


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("", "api.elevenlabs.io"),
        ("us", "api.us.elevenlabs.io"),
        ("eu", "api.eu.residency.elevenlabs.io"),
        ("in", "api.in.residency.elevenlabs.io"),
        ("sg", "api.sg.residency.elevenlabs.io"),
    ],
)
def test_each_region_has_its_host_for_speech_and_for_tokens(region: Any, host: str) -> None:
    settings = ProviderSection(region=region)
    assert url(settings, "").startswith(f"wss://{host}/v1/speech-to-text/realtime?model_id=")
    assert minting_url(settings) == f"https://{host}/v1/single-use-token/realtime_scribe"


@pytest.mark.parametrize(
    ("given_url", "connected", "minted"),
    [
        ("wss://h", "wss://h/v1/speech-to-text/realtime", "https://h/v1/single-use-token/"),
        ("wss://h:8443/", "wss://h:8443/v1/speech-to-text/realtime", "https://h:8443/v1/"),
        ("ws://[::1]:80", "ws://[::1]:80/v1/speech-to-text/realtime", "http://[::1]:80/v1/"),
        ("wss://h/hear", "wss://h/hear", "https://h/v1/single-use-token/"),
        (
            "wss://h/lab/v1/speech-to-text/realtime",
            "wss://h/lab/v1/speech-to-text/realtime",
            "https://h/lab/v1/single-use-token/realtime_scribe",
        ),
    ],
)
def test_an_endpoint_of_ones_own_is_taken_as_it_is(
    given_url: str, connected: str, minted: str
) -> None:
    settings = ProviderSection(url=given_url)
    assert url(settings, "").split("?")[0] == connected
    assert minting_url(settings).startswith(minted)


# What


def test_what_is_off_or_empty_is_not_sent() -> None:
    assert query(BARE) == ALWAYS
    assert query(ProviderSection()) == [*ALWAYS, ("include_timestamps", "true")]


def test_a_token_is_the_last_parameter() -> None:
    assert query(BARE, "sutkn_a+b/c=") == [*ALWAYS, ("token", "sutkn_a+b/c=")]


def test_every_parameter_is_sent_under_the_services_name_in_its_form() -> None:
    settings = asking(
        "pt-BR",
        model_id="scribe_v3_live",
        commit_strategy="turn_prediction",
        vad_silence_threshold_secs=0.7,
        vad_threshold=0.5,
        min_speech_duration_ms=150,
        min_silence_duration_ms=200,
        include_language_detection=True,
        secondary_languages=("en-US", "DE", "en"),
        keyterms=("dock", "Käpt’n & Co"),
        no_verbatim=True,
        entity_detection=("pii", "email_address"),
        entity_redaction=("all",),
        entity_redaction_mode="redacted",
        diarize=True,
        enable_logging=False,
        keepalive_interval_ms=500,
    )
    assert query(settings) == [
        ("model_id", "scribe_v3_live"),
        ("audio_format", "pcm_16000"),
        ("commit_strategy", "turn_prediction"),
        ("vad_silence_threshold_secs", "0.7"),
        ("vad_threshold", "0.5"),
        ("min_speech_duration_ms", "150"),
        ("min_silence_duration_ms", "200"),
        ("language_code", "pt"),
        ("secondary_languages", "en"),
        ("secondary_languages", "de"),
        ("include_timestamps", "true"),
        ("include_language_detection", "true"),
        ("no_verbatim", "true"),
        ("diarize", "true"),
        ("keyterms", "dock"),
        ("keyterms", "Käpt’n & Co"),
        ("entity_detection", "pii"),
        ("entity_detection", "email_address"),
        ("entity_redaction", "all"),
        ("entity_redaction_mode", "redacted"),
        ("enable_logging", "false"),
        ("keepalive_interval_ms", "500"),
    ]
    more = asking(include_timestamps=False, filter_background_audio=True, transcript_edit="a b")
    assert query(more) == [
        *ALWAYS,
        ("filter_background_audio", "true"),
        ("transcript_edit", "a b"),
    ]


def test_settings_of_the_services_own_gate_are_sent_only_where_it_decides() -> None:
    tuned: dict[str, Any] = {"vad_silence_threshold_secs": 0.5, "vad_threshold": 0.3}
    assert query(asking(include_timestamps=False, **tuned)) == ALWAYS
    names = [name for name, _ in query(asking(commit_strategy="vad"))]
    assert names[3:6] == [
        "vad_silence_threshold_secs",
        "min_speech_duration_ms",
        "min_silence_duration_ms",
    ]  # and no vad_threshold = 0, which the service would refuse


def test_every_key_of_the_section_is_a_parameter_or_about_tokens() -> None:
    ours = {"auth", "token_url", "token_command"}
    assert set(ElevenLabs.__struct_fields__) - ours <= set(service.READERS)
    theirs = set(service.READERS) - set(ElevenLabs.__struct_fields__)
    assert theirs == {"audio_format", "language_code"}


@pytest.mark.parametrize(
    ("code", "sent"),
    [("auto", None), ("en", "en"), ("en-US", "en"), ("zh_Hans-CN", "zh"), ("DEU", "deu")],
)
def test_a_language_is_sent_without_its_region(code: str, sent: str | None) -> None:
    settings = asking(code, include_timestamps=False)
    assert language(settings) == sent
    assert query(settings) == ALWAYS + ([("language_code", sent)] if sent else [])


@pytest.mark.parametrize(
    "options",
    [
        {
            "commit_strategy": "vad",
            "vad_silence_threshold_secs": 0.7,
            "vad_threshold": 0.5,
            "min_speech_duration_ms": 150,
            "min_silence_duration_ms": 200,
            "include_timestamps": True,
            "include_language_detection": True,
            "secondary_languages": ("de", "fr"),
            "keyterms": ("dock", "Käpt’n & Co"),
            "no_verbatim": True,
            "entity_detection": ("pii", "email_address"),
            "entity_redaction": ("all",),
            "entity_redaction_mode": "redacted",
            "enable_logging": False,
        },
        {
            "commit_strategy": "manual",
            "include_timestamps": False,
            "filter_background_audio": True,
            "transcript_edit": "Write numbers as digits: 5, not five.",
        },
    ],
)
def test_the_vendors_own_client_says_the_same_in_the_same_words(options: dict[str, Any]) -> None:
    lists: dict[str, Any] = {k: list(v) for k, v in options.items() if isinstance(v, tuple)}
    theirs = ScribeRealtime("key")._build_websocket_url(
        model_id="scribe_v2_realtime",
        audio_format="pcm_16000",
        language_code="en",
        token="sutkn_1",
        **options | lists,
    )
    ours = url(asking("en", **options), "sutkn_1")
    where, _, said = theirs.replace("&include_timestamps=false", "").partition("?")
    assert ours.split("?")[0] == where
    assert sorted(ours.split("?")[1].split("&")) == sorted(said.split("&"))


# Any settings

words = st.text(min_size=1, max_size=20).filter(str.strip)
codes = st.sampled_from(["en", "deu", "pt-BR", "zh_Hans"])
entities = st.lists(st.sampled_from(["all", "pii", "email_address"]), max_size=3, unique=True)
flags = st.booleans()


def tuples(values: st.SearchStrategy[list[str]]) -> st.SearchStrategy[tuple[str, ...]]:
    return values.map(tuple)


options = st.builds(
    ElevenLabs,
    model_id=st.sampled_from(["scribe_v2_realtime", "scribe_v2_realtime_lite", "scribe_v3_live"]),
    commit_strategy=st.sampled_from(["manual", "vad", "turn_prediction"]),
    vad_silence_threshold_secs=st.floats(0.3, 3),
    vad_threshold=st.just(0.0) | st.floats(0.1, 0.9),
    min_speech_duration_ms=st.integers(50, 2000),
    min_silence_duration_ms=st.integers(50, 2000),
    include_timestamps=flags,
    include_language_detection=flags,
    secondary_languages=tuples(st.lists(codes, max_size=3)),
    keyterms=tuples(st.lists(words, max_size=50)),
    no_verbatim=flags,
    filter_background_audio=flags,
    entity_detection=tuples(entities),
    entity_redaction=tuples(entities),
    entity_redaction_mode=st.sampled_from(["redacted", "entity_type", "enumerated_entity_type"]),
    transcript_edit=st.text(max_size=40),
    diarize=flags,
    enable_logging=flags,
    keepalive_interval_ms=st.just(0) | st.integers(500, 10_000),
)
settings_of_any_kind = st.builds(
    ProviderSection, language=st.just("auto") | codes, elevenlabs=options
).filter(lambda provider: not contradictions(Config(provider=provider)))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(settings_of_any_kind)
def test_whatever_is_valid_the_service_reads_as_it_was_meant(settings: ProviderSection) -> None:
    asked, heard = settings.elevenlabs, service.parse(urlsplit(url(settings, "")).query)
    assert heard.commit_strategy == asked.commit_strategy
    assert heard.model_id == asked.model_id
    assert heard.language_code == language(settings)
    assert heard.mute_language is None
    assert heard.rate == 16_000
    assert heard.keyterms == asked.keyterms
    assert heard.entity_detection == asked.entity_detection
    assert heard.entity_redaction == asked.entity_redaction
    if asked.entity_redaction:
        assert heard.entity_redaction_mode == asked.entity_redaction_mode
    assert (heard.transcript_edit or "") == asked.transcript_edit
    assert (heard.keepalive_interval_ms or 0) == asked.keepalive_interval_ms
    for name in ("include_timestamps", "include_language_detection", "no_verbatim",
                 "filter_background_audio", "diarize", "enable_logging"):  # fmt: skip
        assert getattr(heard, name) is getattr(asked, name)
    if asked.commit_strategy != "manual":
        threshold = asked.vad_threshold or 0.4
        assert heard.vad_threshold == pytest.approx(threshold, abs=1e-8)
        silence_s = asked.vad_silence_threshold_secs
        assert heard.vad_silence_threshold_secs == pytest.approx(silence_s, abs=1e-8)
        assert heard.min_speech_duration_ms == asked.min_speech_duration_ms
        assert heard.min_silence_duration_ms == asked.min_silence_duration_ms


@given(settings_of_any_kind)
def test_an_echo_of_what_was_asked_is_no_difference(settings: ProviderSection) -> None:
    echo = service.parse(urlsplit(url(settings, "")).query).config()
    found = differences(settings, echo)
    if settings.elevenlabs.enable_logging:
        assert found == []
    else:  # nobody has an enterprise plan there
        assert found == [("enable_logging", "false", "true")]


@given(settings_of_any_kind, st.dictionaries(st.sampled_from(list(CAPTURED)), json_values))
@example(BARE, {"vad_silence_threshold_secs": 10**400, "keyterms": [[["x" * 1000]]]})
def test_whatever_is_echoed_a_difference_is_a_short_line(
    settings: ProviderSection, echo: dict[str, Any]
) -> None:
    for name, asked, echoed in differences(settings, echo):
        assert name in msgspec.structs.asdict(settings.elevenlabs) or name in CAPTURED
        assert asked.isprintable()
        assert echoed.isprintable()
        assert max(len(asked), len(echoed)) <= MAX_SHOWN


# The echo


def test_the_echo_of_a_connection_without_parameters_is_no_difference() -> None:
    assert differences(BARE, CAPTURED) == []
    assert differences(BARE, {}) == []


@pytest.mark.parametrize(
    ("settings", "echo", "difference"),
    [
        (BARE, {"audio_format": "pcm_8000"}, ("audio_format", '"pcm_16000"', '"pcm_8000"')),
        (BARE, {"sample_rate": 8000}, ("sample_rate", "16000", "8000")),
        (BARE, {"model_id": "x"}, ("model_id", '"scribe_v2_realtime"', '"x"')),
        (asking("en-US"), {"language_code": None}, ("language_code", '"en"', "null")),
        (BARE, {"language_code": "en"}, ("language_code", "null", '"en"')),
        (
            asking(),
            {"include_timestamps": False},
            ("include_timestamps", "true", "false"),
        ),
        (asking(keyterms=("dock",)), {"keyterms": []}, ("keyterms", '["dock"]', "[]")),
        (
            asking(secondary_languages=("de", "fr")),
            {"secondary_languages": ["de"]},
            ("secondary_languages", '["de", "fr"]', '["de"]'),
        ),
        (
            asking(commit_strategy="vad", vad_silence_threshold_secs=0.5),
            {"vad_commit_strategy": True, "vad_silence_threshold_secs": 1.5},
            ("vad_silence_threshold_secs", "0.5", "1.5"),
        ),
        (BARE, {"vad_commit_strategy": True}, ("vad_commit_strategy", "false", "true")),
        (
            asking(commit_strategy="vad"),
            {"vad_commit_strategy": "manual"},
            ("commit_strategy", '"vad"', '"manual"'),
        ),
        (
            asking(commit_strategy="turn_prediction"),
            {"commit_strategy": "vad", "vad_commit_strategy": True},
            ("commit_strategy", '"turn_prediction"', '"vad"'),
        ),
        (
            asking(enable_logging=False),
            {"disable_logging": False},
            ("enable_logging", "false", "true"),
        ),
        (
            asking(enable_logging=False),
            {"enable_logging": True},
            ("enable_logging", "false", "true"),
        ),
        (
            asking(entity_detection=("email_address",)),
            {"entity_detection": None},
            ("entity_detection", '["email_address"]', "null"),
        ),
        (
            asking(entity_redaction=("pii",)),
            {"entity_redaction_mode": "redacted", "entity_redaction": "pii"},
            ("entity_redaction_mode", '"enumerated_entity_type"', '"redacted"'),
        ),
        (
            asking(transcript_edit="shout"),
            {"transcript_edit": None},
            ("transcript_edit", '"shout"', "null"),
        ),
        (
            asking(keepalive_interval_ms=1000),
            {"keepalive_interval_ms": None},
            ("keepalive_interval_ms", "1000", "null"),
        ),
    ],
)
def test_a_difference_is_told_with_both_values(
    settings: ProviderSection, echo: dict[str, Any], difference: tuple[str, str, str]
) -> None:
    assert differences(settings, echo) == [difference]


def test_an_echo_beyond_all_measure_is_a_difference_like_others() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    assert differences(BARE, {"model_id": nested}) == [
        ("model_id", '"scribe_v2_realtime"', "(nested too deeply)")
    ]


@pytest.mark.parametrize(
    ("settings", "echo"),
    [
        (asking(), {"vad_silence_threshold_secs": 0.9}),  # nobody asked
        (asking("en"), {"language_code": "en-US"}),
        (asking("deu"), {"language_code": "de"}),
        (asking(secondary_languages=("de", "deu")), {"secondary_languages": ["ger"]}),
        (asking(commit_strategy="vad"), {"commit_strategy": "vad", "vad_commit_strategy": False}),
        (asking(commit_strategy="turn_prediction"), {"vad_commit_strategy": False}),
        (asking(commit_strategy="turn_prediction"), {"vad_commit_strategy": True}),
        (asking(commit_strategy="vad", vad_threshold=0.4), {"vad_threshold": 0.4000000059604645}),
        (asking(enable_logging=False), {"disable_logging": True}),
        (asking(), {"disable_logging": None, "model_id": None, "audio_format": None}),
        (asking(keyterms=("a", "b")), {"keyterms": ["b", "a"]}),
        (asking(entity_detection=("pii",)), {"entity_detection": ["email_address", "name"]}),
        (asking(entity_detection=("name",)), {"entity_detection": "name"}),
        (asking(), {"keepalive_interval_ms": 0, "diarize": None, "transcript_edit": ""}),
    ],
)
def test_another_form_of_the_same_is_no_difference(
    settings: ProviderSection, echo: dict[str, Any]
) -> None:
    assert differences(settings, echo) == []


# Notices


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            asking("en-US"),
            'provider.language: "en-US" is sent as "en": the service knows no regions',
        ),
        (
            asking(secondary_languages=("de", "pt_BR")),
            'provider.elevenlabs.secondary_languages: "pt_BR" is sent as "pt": '
            "the service knows no regions",
        ),
        (
            ProviderSection(languages=("en",)),
            "provider.languages: has no effect without "
            "provider.elevenlabs.include_language_detection = true",
        ),
        (
            ProviderSection(
                languages=("en-GB",), elevenlabs=ElevenLabs(include_language_detection=True)
            ),
            'provider.languages: "en-GB" counts as "en": the service knows no regions',
        ),
        (
            ProviderSection(name="openmind", languages=("en",)),
            "provider.languages: has no effect, openmind tells no language",
        ),
        (
            ProviderSection(name="openmind", openmind=OpenMind(route="google")),
            'provider.language: "auto" is en-US to the google route; name the language',
        ),
        (
            ProviderSection(name="openmind", language="en-US"),
            'provider.language: "en-US" is sent as "en": the service knows no regions',
        ),
        (
            asking(vad_threshold=0.5),
            'provider.elevenlabs.vad_threshold: has no effect with commit_strategy = "manual"',
        ),
        (
            asking(entity_redaction_mode="redacted"),
            "provider.elevenlabs.entity_redaction_mode: has no effect without entity_redaction",
        ),
        (
            asking(enable_logging=False),
            "provider.elevenlabs.enable_logging: false is granted to enterprise plans only; on "
            "others the service keeps the speech all the same, and alert/provider_keeps_data is "
            "raised",
        ),
    ],
)
def test_what_is_not_sent_as_it_stands_or_has_no_effect_is_told(
    settings: ProviderSection, line: str
) -> None:
    assert notices(settings) == [line]


@pytest.mark.parametrize(
    "settings",
    [
        ProviderSection(),
        asking("DE", commit_strategy="vad", vad_threshold=0.5),
        ProviderSection(name="openmind", language="en-US", openmind=OpenMind(route="google")),
        asking(entity_redaction=("pii",), entity_redaction_mode="redacted"),
    ],
)
def test_what_is_as_it_seems_is_nothing_to_tell(settings: ProviderSection) -> None:
    assert notices(settings) == []
