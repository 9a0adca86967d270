"""The figures drawn: what each engine says of frames, and what a gate makes of it."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from bench.gate.figures import Figures

Measured = dict[str, dict[tuple[str, int], Figures]]
"""By engine, and by noise and signal to noise ratio."""

MARKS = "osD^v<>phX"


def draw(measured: Measured, path: Path) -> None:
    """Write a picture to `path`: a column a noise, a line an engine, a point an SNR."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415 -- when the backend is chosen

    noises = list(dict.fromkeys(noise for noise, _ in next(iter(measured.values()))))
    figure, axes = plt.subplots(
        2, len(noises), figsize=(3.6 * len(noises), 7.6), sharex="row", sharey="row", squeeze=False
    )
    for column, noise in enumerate(noises):
        above, below = axes[0][column], axes[1][column]
        for n, (engine, by_room) in enumerate(measured.items()):
            points = [(snr, each) for (where, snr), each in by_room.items() if where == noise]
            ours = engine.startswith("two_stage")
            style = {
                "label": engine,
                "marker": MARKS[n % len(MARKS)],
                "markersize": 6 if ours else 4,
                "linewidth": 2.2 if ours else 1.0,
                "color": f"C{n}",
                "alpha": 1.0 if ours else 0.75,
            }
            above.plot([100 * e.fpr for _, e in points], [100 * e.tpr for _, e in points], **style)
            snrs = [str(snr) for snr, _ in points]
            below.plot(snrs, [100 * e.sent for _, e in points], **style)
        above.set_title(noise)
        above.set_xlabel("noise frames taken for speech (%)")
        below.set_xlabel("signal to noise (dB)")
        above.set_ylim(50, 101)
        for each in (above, below):
            each.grid(alpha=0.3)
    axes[0][0].set_ylabel("speech frames found (%), 20 dB to 0 dB")
    axes[1][0].set_ylabel("sent, of 20 % speech (% of the time)")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=5, frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(path, dpi=90)
    plt.close(figure)
