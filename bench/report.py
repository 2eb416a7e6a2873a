"""docs/benchmarks.md and its plots, from what the scenarios found; the newest run of each."""

import platform
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import psutil
import pygal

from bench import result
from bench.result import Goal, Plot, Result, Table
from bench.rounds import Spread

DOCS = Path(__file__).parent.parent / "docs"
FOLDER = DOCS / "benchmarks"
# What was learned beside the figures; written by hand.
CONCLUSIONS = FOLDER / "conclusions.md"
INTRODUCTION = """# Benchmarks

Each figure is a median of several rounds in which ours and the others took turns, on one machine, in one run; behind it
the least and the greatest. Ratios carry over to other machines, absolute figures do not. What the others are is in
`bench/peers/`. `make bench` runs all and writes this page; `make bench ARGS=read_by_id` runs one.
"""
PACKAGES = (
    "django",
    "djangorestframework",
    "celery",
    "redis",
    "hiredis",
    "psycopg",
    "granian",
    "flask",
    "django-cacheops",
)


def write(scenarios: Sequence[str]) -> None:
    """The document says what was found last by each of these, as far as anything was."""
    parts = [INTRODUCTION, _machine()]
    for name in scenarios:
        file = FOLDER / f"{name}.json"
        if file.exists():
            found = result.load(file)
            for plot in found.plots:
                _draw(plot)
            parts.append(f"## {_title(name)}\n\n`make bench ARGS={name}`\n\n{text(found)}")
    parts.append(CONCLUSIONS.read_text() if CONCLUSIONS.exists() else "")
    (DOCS / "benchmarks.md").write_text("\n".join(part for part in parts if part).rstrip() + "\n")


def text(found: Result) -> str:
    """Goals, tables, plots and notes, as Markdown."""
    goals = [f"- {_goal(goal)}" for goal in found.goals]
    plots = [f"![{plot.title}](benchmarks/{plot.name}.svg)\n" for plot in found.plots]
    notes = [f"- {note}" for note in found.notes]
    blocks = ["\n".join(goals), *("\n".join(_table(table)) for table in found.tables), *plots, "\n".join(notes)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _title(name: str) -> str:
    lines = (import_module(f"bench.{name}").__doc__ or name).split("\n\n")[0]
    return " ".join(lines.split()).rstrip(".")


def _machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"Machine: {psutil.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()},"
        f" Python {sys.version.split()[0]}; everything, the load included, on this one.\n\nVersions: {packages}.\n"
    )


def _goal(goal: Goal) -> str:
    bound = f"at least {goal.at_least:,g}" if goal.at_least is not None else f"at most {goal.at_most:,g}"
    return f"{'met' if goal.is_met else '**not met**'}: {goal.text}: {_number(goal.found)} ({bound})"


def _table(table: Table) -> Iterator[str]:
    units = list(next(iter(table.rows.values())))
    ratio = [f"ratio of {table.ratio_of}"] if table.ratio_of else []
    yield f"{table.caption}\n"
    yield f"| | {' | '.join([*ratio, *units])} |"
    yield f"|---|{'---:|' * len([*ratio, *units])}"
    for name, row in table.rows.items():
        ratios = [f"**{_number(table.ratio(name))}**"] if table.ratio_of else []
        yield f"| {name} | {' | '.join([*ratios, *(_spread(row[unit]) for unit in units)])} |"


def _spread(found: Spread) -> str:
    if found.least == found.greatest:
        return _number(found.median)
    return f"{_number(found.median)} ({_number(found.least)} to {_number(found.greatest)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _draw(plot: Plot) -> None:
    look = {"js": [], "pretty_print": True, "no_prefix": True, "title": plot.title, "disable_xml_declaration": True}
    chart: pygal.graph.graph.Graph
    if plot.bars:
        chart = pygal.HorizontalBar(
            **look, x_title=plot.unit, logarithmic=plot.is_logarithmic, height=90 + 40 * len(plot.bars)
        )
        for name, value in plot.bars.items():
            chart.add(name, [value])
    else:
        chart = pygal.XY(**look, x_title=plot.x_title, y_title=plot.unit, logarithmic=plot.is_logarithmic)
        for name, points in plot.lines.items():
            chart.add(name, points)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{plot.name}.svg").write_text(chart.render(is_unicode=True) + "\n")
