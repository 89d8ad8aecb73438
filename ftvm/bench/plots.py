"""A session as pictures: every rival's speed, and what fault tolerance's cost grows with.

It takes matplotlib, which `pip install 'ftvm[bench]'` brings.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from ftvm.bench import scaling
from ftvm.bench.rivals import COUNTED, PAIR
from ftvm.bench.session import Document
from ftvm.bench.tables import Speeds

_DPI = 144
_MARKERS = "os^Dv<>PX*h"
_COLOURS = {COUNTED: "black", PAIR: "tab:red"}
_STYLE: Any = {
    "svg.hashsalt": "ftvm",  # the same figures give the same file
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(document: Document, folder: Path, clock: str) -> list[Path]:
    """Draw what there is, as PNG and SVG; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    with mpl.rc_context(_STYLE):
        for name, figure in (
            ("speed", _speeds(Speeds(document, clock), document)),
            ("scaling", _curves(document, clock)),
        ):
            if figure is None:
                continue
            for suffix, metadata in (("png", None), ("svg", {"Date": None})):
                files.append(folder / f"{name}.{suffix}")
                figure.savefig(files[-1], dpi=_DPI, bbox_inches="tight", metadata=metadata)
    return files


def _speeds(speeds: Speeds, document: Document) -> Figure | None:
    """A line for each work, a mark for each rival; to the right is faster."""
    if not speeds.rows:
        return None
    figure = Figure(figsize=(8.5, 0.32 * len(speeds.rows) + 1.6))
    axes: Any = figure.subplots()
    places = range(len(speeds.rows))
    for column, marker in zip(speeds.columns, _MARKERS, strict=False):
        ratios = [speeds.ratio(row, column, COUNTED) for row in speeds.rows]
        drawn = [(r, place) for r, place in zip(ratios, places, strict=True) if r is not None]
        axes.plot(
            [ratio for ratio, _ in drawn],
            [place for _, place in drawn],
            marker,
            color=_COLOURS.get(column),
            label=column,
            markersize=5,
            alpha=0.85,
        )
    axes.set_xscale("log")
    axes.set_xlabel(f"speed, ftvm alone and counted ({COUNTED}) = 1; right is faster")
    axes.set_yticks(places, speeds.rows)
    axes.invert_yaxis()
    axes.grid(axis="both", alpha=0.25)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False)
    axes.set_title(f"{document.host.cpu}, {document.host.cpus} CPUs", fontsize=9)
    return figure


def _curves(document: Document, clock: str) -> Figure | None:
    """A panel for each axis; speeds are relative to the first point of the counted machine."""
    axes_of = [axis for axis in scaling.AXES.values() if document.section(axis.section)]
    if not axes_of:
        return None
    figure = Figure(figsize=(3.0 * len(axes_of), 2.8), layout="constrained")
    panels: Sequence[Any] = figure.subplots(1, len(axes_of), squeeze=False)[0]
    for panel, axis in zip(panels, axes_of, strict=True):
        measured = document.section(axis.section)
        is_speed = any(m.better == "more" for m in measured)
        shown = [m for m in measured if (m.better == "more") == is_speed]
        base = shown[0].median(clock) if is_speed else 1.0
        for column in dict.fromkeys(m.column for m in shown):
            points = [(m.details["at"], m) for m in shown if m.column == column]
            panel.plot(
                [at for at, _ in points],
                [m.median(clock) / base for _, m in points],
                "o-",
                color=_COLOURS.get(column),
                label=column,
                markersize=4,
            )
        panel.set_xscale("symlog", linthresh=1)
        panel.set_ylim(bottom=0)
        panel.set_xlabel(axis.unit)
        panel.set_ylabel("relative speed" if is_speed else shown[0].unit)
        panel.set_title(axis.section.removeprefix("scaling: "))
        panel.grid(alpha=0.25)
        panel.legend(frameon=False, fontsize=8)
    return figure
