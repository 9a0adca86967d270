"""The live view in a terminal: the only module that imports rich.

Every text of a stranger's goes through `shown()` and into a `Text`, which rich does not parse.
"""

from __future__ import annotations

from datetime import datetime
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from scribed.contract.values import HEARING_REASONS
from scribed.monitor.lines import alert_words, words
from scribed.monitor.robots import FINE, ROBOTS, TROUBLE, WARNING, Look, Microphone, Passed
from scribed.monitor.safe import shown

BAR, QUIETEST_DBFS = 24, -72.0
STYLES = {FINE: "green", WARNING: "yellow", TROUBLE: "bold red"}


class Screen:
    """Takes the terminal over while it is entered; a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, markup=False, emoji=False)
        self._live = Live(console=self._console, screen=True, auto_refresh=False)

    def __enter__(self) -> Screen:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, exc, traceback)

    def show(self, look: Look) -> None:
        """Draw it."""
        self._live.update(drawn(look, self._console.height), refresh=True)


def drawn(look: Look, height: int) -> RenderableType:
    """The picture, for so many lines."""
    head = _line(Text(shown(look.where), "dim"))
    if look.lost is not None:
        head = _line(Text(f"broker lost: {shown(look.lost)}; trying again", STYLES[TROUBLE]))
    if not look.microphones:
        return Group(head, Text("nothing heard yet"))
    if look.in_full:
        return Group(head, *(_in_full(each, look.now) for each in look.microphones))
    return Group(head, _table(look, max(1, height - 4)))


def _table(look: Look, rows: int) -> RenderableType:
    table = Table(box=None, expand=True, pad_edge=False)
    for name, ratio in (("robot", 3), ("", 5), ("level", 2), ("waits", 2), ("last", 10)):
        table.add_column(name, ratio=ratio, no_wrap=True, overflow="ellipsis")
    for each in look.microphones[:rows]:
        health = each.health(look.now)
        table.add_row(
            Text(shown(each.name, 60)),
            Text(shown(_summary(each, health.words)), STYLES[each.trouble(look.now)]),
            Text("" if each.level_dbfs is None else f"{each.level_dbfs:.0f} dBFS"),
            Text(_waits(each)),
            _last(each, look.now),
        )
    left = len(look.microphones) - rows
    more = f"… {left} more, in no greater trouble" if left > 0 else ""
    if look.too_many:
        more += f"; beyond {ROBOTS} none is shown"
    return Group(table, Text(more, "dim")) if more else table


def _summary(each: Microphone, health: str) -> str:
    """The health, and the alerts by name."""
    return ", ".join([health, *sorted(each.alerts)][:5])


def _last(each: Microphone, now: float) -> Text:
    """What is being said, or else what was said last."""
    said = each.utterance(now)
    if said is not None:
        return Text(f"… {shown(said)}", "italic")
    return _passed(each.finals[-1]) if each.finals else Text("")


def _in_full(each: Microphone, now: float) -> RenderableType:
    health, grid = each.health(now), Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(ratio=1)
    hearing = f"{health.words}: {why}" if (why := _in_words(each)) else health.words
    grid.add_row("hearing", Text(shown(hearing), STYLES[health.trouble]))
    for name, value in _facts(each, now):
        grid.add_row(name, value)
    for code, alert in sorted(each.alerts.items()):
        style = STYLES[TROUBLE if alert.severity == "error" else WARNING]
        since = f" (since {shown(alert.since, 30)})" if alert.since else ""
        grid.add_row("alert", Text(alert_words(code, alert) + since, style))
    said = each.utterance(now)
    grid.add_row("now", Text("" if said is None else f"… {shown(said)}", "italic"))
    for passed in reversed(each.finals):
        when = "" if passed.at is None else f"{_clock(passed.at)}"
        grid.add_row(when, _passed(passed))
    return Panel(grid, title=Text(shown(each.name, 60)), title_align="left")


def _in_words(each: Microphone) -> str:
    """What it hears, or what it means that it does not."""
    state = each.state
    if state is None:
        return ""
    return state.heard or ("" if state.hearing else HEARING_REASONS.get(state.hearing_reason, ""))


def _facts(each: Microphone, now: float) -> list[tuple[str, Text]]:
    state = each.state
    facts: list[tuple[str, Text]] = []
    if state is not None:
        device = f"{shown(state.device.name)} {shown(state.device.state, 20)}"
        facts = [
            ("microphone", Text(device)),
            ("level", _bar(each.level_dbfs)),
            ("link", _link(state.link.state, state.link.last_error)),
            ("waits", Text(_waits(each) or "nothing")),
        ]
        age_s, text_s = each.age_s(now), each.last_text_age_s(now)
        ages = [
            "state of an unknown time" if age_s is None else f"state {age_s:.0f} s old",
            "no transcript yet" if text_s is None else f"last transcript {text_s:.0f} s ago",
            f"scribed {shown(state.version, 30)}",
        ]
        facts.append(("age", Text(", ".join(ages))))
    if each.odd:
        facts.append(("odd", Text(f"{each.odd} message(s) that are none of scribed's", "yellow")))
    return facts


def _link(state: str, error: str | None) -> Text:
    if state not in ("backoff", "refused"):
        return Text(shown(state, 30))
    return Text(f"{shown(state, 30)}: {shown(error or 'it does not say why')}", STYLES[TROUBLE])


def _bar(level_dbfs: float | None) -> Text:
    if level_dbfs is None:
        return Text("not known")
    share = (level_dbfs - QUIETEST_DBFS) / -QUIETEST_DBFS
    full = max(0, min(BAR, round(share * BAR)))
    bar = Text("█" * full, "green").append("░" * (BAR - full), "dim")
    return bar.append(f" {level_dbfs:.0f} dBFS", "default")


def _waits(each: Microphone) -> str:
    backlog = None if each.state is None else each.state.backlog
    if backlog is None or not backlog.utterances:
        return ""
    return f"{backlog.utterances} ({backlog.seconds:.0f} s)"


def _passed(passed: Passed) -> Text:
    """An order plainly, all else so that nobody takes it for one."""
    is_order = passed.topic == "transcript" and not passed.marks
    age = "" if passed.age_ms is None else f"  {passed.age_ms} ms"
    topic = "" if passed.topic != "late" else "late "
    text = Text(f"{topic}{words(passed)}", "" if is_order else "yellow")
    return text.append(age, "dim")


def _clock(unix: float) -> str:
    try:
        return f"{datetime.fromtimestamp(unix).astimezone():%H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return ""


def _line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
