"""Plots as SVG: no script, nothing fetched, the same bytes for the same figures, on light and dark pages alike."""

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape

from bench.result import Plot

WIDTH, MARGIN, BAR, GAP, NAME, FIELD = 760, 20, 20, 12, 20, 260
TEXT = 7.2  # what a character takes at most, on average
# A background of its own, since a page's theme and a machine's may differ; colours of lines are told apart on both.
STYLE = """
text { font: 13px -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; fill: #1f2328 }
.page { fill: #ffffff; stroke: #d1d9e0 } .title { font-size: 15px; font-weight: 600 }
.quiet { fill: #59636e } .grid { stroke: #d1d9e0 } .end { text-anchor: end } .middle { text-anchor: middle }
.c0 { color: #0969da } .c1 { color: #bc4c00 } .c2 { color: #1a7f37 } .c3 { color: #8250df } .c4 { color: #57606a }
.fill { fill: currentColor } .line { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .page { fill: #0d1117; stroke: #3d444d } .quiet { fill: #9198a1 } .grid { stroke: #3d444d }
.c0 { color: #4493f8 } .c1 { color: #f0883e } .c2 { color: #3fb950 } .c3 { color: #ab7df8 } .c4 { color: #9198a1 }
}
"""
COLOURS = 5
FEW_POINTS = 20  # so many are marked one by one

# Where a value is drawn, between 0 and 1.
Scale = Callable[[float], float]


def drawn(plot: Plot) -> str:
    """The plot as an SVG document."""
    parts = [*(_bars(plot) if plot.bars else _lines(plot))]
    height = 70 + len(plot.bars) * (BAR + GAP) + len(plot.lines) * NAME + (60 + FIELD if plot.lines else 0)
    title = escape(plot.title)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        f' role="img" aria-label="{title}">\n<title>{title}</title>\n<style>{STYLE}</style>'
    )
    page = f'<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>'
    return "\n".join([head, page, _text(MARGIN, 28, plot.title, "title"), *parts, "</svg>\n"])


def number(value: float) -> str:
    """Three digits, or all of them where there are more before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _bars(plot: Plot) -> Iterator[str]:
    """One below the other, what is ours in a colour of its own."""
    left = MARGIN + TEXT * max(map(len, plot.bars)) + 8
    room = WIDTH - MARGIN - left - TEXT * max(len(number(value)) for value in plot.bars.values()) - 8
    scale = _scale([*plot.bars.values()], plot.is_logarithmic)[0]
    yield _text(MARGIN, 48, plot.unit + (", logarithmic" if plot.is_logarithmic else ""), "quiet")
    for row, (name, value) in enumerate(plot.bars.items()):
        top, length = 62 + row * (BAR + GAP), max(1.0, room * scale(value))
        colour = "c0" if name.startswith("ours") else "c4"
        yield _text(left - 8, top + 15, name, "end")
        yield f'<rect class="fill {colour}" x="{left:.1f}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2"/>'
        yield _text(left + length + 8, top + 15, number(value))


def _lines(plot: Plot) -> Iterator[str]:
    """Lines over a grid, their names above."""
    points = [point for line in plot.lines.values() for point in line]
    across, x_ticks = _scale([x for x, _ in points], plot.is_x_logarithmic)
    up, y_ticks = _scale([y for _, y in points], plot.is_logarithmic)
    left, top = MARGIN + TEXT * max(len(number(y)) for y in y_ticks) + 8, 76 + NAME * len(plot.lines)
    room, foot = WIDTH - MARGIN - TEXT * len(number(x_ticks[-1])) / 2 - left, top + FIELD
    yield _text(MARGIN, top - 22, plot.unit, "quiet")
    yield _text(left + room / 2, foot + 42, plot.x_title, "quiet middle")
    for y in y_ticks:
        at = foot - FIELD * up(y)
        yield f'<line class="grid" x1="{left:.1f}" y1="{at:.1f}" x2="{left + room:.1f}" y2="{at:.1f}"/>'
        yield _text(left - 8, at + 4, number(y), "quiet end")
    for x in x_ticks:
        yield _text(left + room * across(x), foot + 20, number(x), "quiet middle")
    for order, (name, line) in enumerate(plot.lines.items()):
        colour, named = f"c{order % COLOURS}", 52 + order * NAME
        yield f'<rect class="fill {colour}" x="{MARGIN}" y="{named - 6}" width="14" height="4"/>'
        yield _text(MARGIN + 20, named, name)
        places = [(left + room * across(x), foot - FIELD * up(y)) for x, y in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        yield f'<polyline class="line {colour}" points="{path}"/>'
        for x, y in places if len(places) <= FEW_POINTS else ():
            yield f'<circle class="fill {colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'


def _scale(values: Sequence[float], is_logarithmic: bool) -> tuple[Scale, list[float]]:
    """(scale, ticks) for these values: from 0 in steps of 1, 2 or 5, or in powers of ten."""
    greatest = max(values)
    if is_logarithmic:
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(greatest))
        high = max(high, low + 1)
        return lambda value: (math.log10(value) - low) / (high - low), [10.0**power for power in range(low, high + 1)]
    rough = (greatest or 1.0) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * times for times in (1, 2, 5, 10) if unit * times >= rough)
    steps = math.ceil((greatest or 1.0) / step)
    return lambda value: value / (step * steps), [step * each for each in range(steps + 1)]


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text{f" class={kind!r}" if kind else ""} x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
