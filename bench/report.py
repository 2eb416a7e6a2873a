"""docs/benchmarks.md and its plots, from what the scenarios found; the newest run of each."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import psutil

from bench import drawing, result
from bench.drawing import number
from bench.result import Goal, Result, Table
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
    files = {name: FOLDER / f"{name}.json" for name in scenarios}
    kept = {name: result.load(file) for name, file in files.items() if file.exists()}
    parts = [INTRODUCTION, "\n".join(_measured_on(kept)) + "\n", "\n".join(_goals(kept)) + "\n"]
    for name, found in kept.items():
        for plot in found.plots:
            (FOLDER / f"{plot.name}.svg").write_text(drawing.drawn(plot))
        parts.append(f"## {_title(name)}\n\n`make bench ARGS={name}`\n\n{_findings(found)}")
    parts.append(CONCLUSIONS.read_text() if CONCLUSIONS.exists() else "")
    (DOCS / "benchmarks.md").write_text("\n".join(part for part in parts if part).rstrip() + "\n")


def text(found: Result) -> str:
    """Goals, tables, plots and notes, as Markdown."""
    goals = [f"- {_state(goal)}: {goal.text}: {number(goal.found)} ({_bound(goal)})" for goal in found.goals]
    return "\n".join(goals) + f"\n\n{_findings(found)}"


def here() -> str:
    """The machine, the day and the versions that something is measured with."""
    memory = psutil.virtual_memory().total / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{psutil.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, with servers and load"
        f" on this one machine, {date.today()}; Python {platform.python_version()}, {packages}"
    )


def _measured_on(kept: Mapping[str, Result]) -> Iterator[str]:
    """Each machine once; scenarios may have been run on several."""
    for where in dict.fromkeys(found.where for found in kept.values()):
        names = ", ".join(name for name, found in kept.items() if found.where == where)
        yield f"- {names}: {where}."


def _goals(kept: Mapping[str, Result]) -> Iterator[str]:
    yield "| scenario | goal | found | aimed for | |"
    yield "|---|---|---:|---|---|"
    for name, found in kept.items():
        for goal in found.goals:
            yield f"| {name} | {goal.text} | **{number(goal.found)}** | {_bound(goal)} | {_state(goal)} |"


def _findings(found: Result) -> str:
    plots = [f"![{plot.title}](benchmarks/{plot.name}.svg)" for plot in found.plots]
    notes = [f"- {note}" for note in found.notes]
    blocks = [*("\n".join(_table(table)) for table in found.tables), *plots, "\n".join(notes)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _title(name: str) -> str:
    lines = (import_module(f"bench.{name}").__doc__ or name).split("\n\n")[0]
    return " ".join(lines.split()).rstrip(".")


def _state(goal: Goal) -> str:
    return "met" if goal.is_met else "**not met**"


def _bound(goal: Goal) -> str:
    return f"at least {goal.at_least:,g}" if goal.at_least is not None else f"at most {goal.at_most:,g}"


def _table(table: Table) -> Iterator[str]:
    units = list(next(iter(table.rows.values())))
    ratio = [f"ratio of {table.ratio_of}"] if table.ratio_of else []
    yield f"**{table.caption}**\n"
    yield f"| | {' | '.join([*ratio, *units])} |"
    yield f"|---|{'---:|' * len([*ratio, *units])}"
    for name, row in table.rows.items():
        ratios = [f"**{number(table.ratio(name))}**"] if table.ratio_of else []
        yield f"| {name} | {' | '.join([*ratios, *(_spread(row[unit]) for unit in units)])} |"


def _spread(found: Spread) -> str:
    if found.least == found.greatest:
        return number(found.median)
    return f"{number(found.median)} ({number(found.least)} to {number(found.greatest)})"
