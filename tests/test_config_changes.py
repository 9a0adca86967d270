"""What a reload does with each key: none is forgotten, and nothing is half done."""

from __future__ import annotations

from pathlib import Path

import pytest

from scribed.changes import EFFECTS, Effect, plan, with_values
from scribed.config import Config
from scribed.configfile import flatten, parse
from scribed.errors import ConfigError
from tests import reload_page

PAGE = Path(__file__).parents[1] / "docs" / "reload.md"


def configured(text: str) -> Config:
    return parse(text, {})[0]


def test_every_key_says_how_it_takes_effect_and_nothing_else_does() -> None:
    assert list(EFFECTS) == sorted(EFFECTS, key=list(EFFECTS).index)
    assert set(EFFECTS) == set(flatten(Config())), "say in scribed/changes.py how it takes effect"


def test_the_page_has_every_key_under_its_effect() -> None:
    text = PAGE.read_text("utf-8")
    assert reload_page.table() in text, "run python -m tests.reload_page"


def test_the_same_configuration_asks_for_nothing() -> None:
    same = plan(Config(), Config())
    assert (same.changed, same.refused, same.effects) == ((), (), frozenset())


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("[vad]\nhangover_ms = 700", Effect.LIVE),
        ("[log]\nlevel = 'debug'", Effect.LIVE),
        ("[provider]\nlanguage = 'fr'", Effect.SESSION),
        ("[provider.elevenlabs]\nkeyterms = ['dock']", Effect.SESSION),
        ("[mqtt]\ntopic = 'here/{robot}'", Effect.BROKER),
        ("[audio]\ndevice = 'usb:046d:0825'", Effect.DEVICE),
    ],
)
def test_a_change_takes_effect_in_its_own_way(text: str, effect: Effect) -> None:
    new = configured(text)
    made = plan(Config(), new)
    assert (made.config, made.refused) == (new, ())
    assert set(made.effects) == {effect}
    (key,) = made.changed
    assert made.touches(key)
    assert made.touches(key.rsplit(".", 1)[0])
    assert not made.touches("shutdown")


def test_what_needs_a_restart_keeps_its_value_and_the_rest_changes() -> None:
    new = configured("[spool]\ndurability = 'power'\nmax_mb = 300\n[vad]\nhangover_ms = 700")
    made = plan(Config(), new)
    assert made.refused == ("spool.durability",)
    assert made.changed == ("vad.hangover_ms", "spool.max_mb")
    assert made.config == with_values(new, {"spool.durability": "process"})
    listens = plan(Config(), configured("[metrics]\nlisten = '127.0.0.1:9469'"))
    assert (listens.refused, listens.config) == (("metrics.listen",), Config())


def test_another_device_needs_a_restart_where_the_source_cannot_be_opened_twice() -> None:
    old = configured("[audio]\nsource = 'stdin'")
    new = configured("[audio]\nsource = 'stdin'\nrate = 8000\nstall_s = 3.0")
    made = plan(old, new, reopens=False)
    assert (made.changed, made.refused) == (("audio.stall_s",), ("audio.rate",))
    assert made.config.audio.rate == 0


def test_a_mixture_that_is_not_valid_is_refused_whole() -> None:
    old = configured("[spool]\nruntime_max_mb = 64")
    new = configured("[spool]\nruntime_max_mb = 8\nmax_mb = 16")
    with pytest.raises(ConfigError) as refused:
        plan(old, new)
    assert "until a restart, which spool.runtime_max_mb needs" in str(refused.value)


def test_values_are_laid_over_a_configuration_by_their_paths() -> None:
    laid = with_values(Config(), {"provider.elevenlabs.keyterms": ("dock",), "log.level": "debug"})
    assert laid.provider.elevenlabs.keyterms == ("dock",)
    assert laid.log.level == "debug"
    assert flatten(laid).keys() == flatten(Config()).keys()
    assert Config().log.level == "info"
