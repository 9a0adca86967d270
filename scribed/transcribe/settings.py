"""The daemon's configuration as a run has it that ends and publishes nothing; pure."""

from __future__ import annotations

from msgspec.structs import replace

from scribed.config import Config, Cost


def adapted(config: Config, *, is_device: bool) -> Config:
    """`config` for a source that has no time of its own: nothing in it grows old, nothing is held
    back, and there is no limit for the day, which only the daemon can count."""
    return replace(
        config,
        audio=replace(config.audio, source="alsa" if is_device else "file"),
        transcript=replace(config.transcript, partials=False, late="publish", stale_after_s=60.0),
        spool=replace(config.spool, durability="memory", max_age_h=720.0, catch_up_rate=100.0),
        vad=replace(config.vad, early_commit_ms=0),
        cost=Cost(price_per_hour=config.cost.price_per_hour),
    )
