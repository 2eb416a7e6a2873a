"""`readmodels rebuild`: a read model built anew, all of it or a part, while it goes on being served."""

import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from readmodels import builds, partial, projector, sweeping, switching
from readmodels.cli.base import Exit, OfReadModel, Output, Refused
from readmodels.declare import declared
from readmodels.outbox import Lane
from readmodels.store import Store

LOOK_SECONDS = 0.2


class Rebuild(OfReadModel):
    """Build a read model anew beside the live generation, and switch to it.

    All of it: a new generation is filled in key ranges while changes go on into both; queries see the old one until the
    switch. Ctrl-C cancels without harm. Where workers or another command are at it already, this one takes part, or
    looks on if REBUILD_PROCESSES are. With --key or --where only those documents are built again, in place.
    """

    name = "rebuild"
    exits = {Exit.FINE: "it is built", Exit.NO: "it was cancelled, or waits for changes that are still pending"}
    examples = (
        "rebuild OrderDetail",
        "rebuild OrderDetail --key 17 --key 18",
        "rebuild OrderDetail --where customer__country=DE --where placed_at__gte=2026-11-01T00:00Z",
    )

    def arguments(self, parser: ArgumentParser) -> None:
        """The read model, and what of it."""
        super().arguments(parser)
        part = parser.add_mutually_exclusive_group()
        part.add_argument(
            "--key", action="append", default=[], help="only the document of this root key; may be repeated"
        )
        part.add_argument(
            "--where",
            action="append",
            default=[],
            type=_condition,
            metavar="FIELD=VALUE",
            help="only documents whose root row matches, in the terms of QuerySet.filter; may be repeated, with another"
            " field; times with a time zone, values of __in and __range with commas between",
        )

    def run(self, options: Mapping[str, Any], out: Output) -> Exit:
        """Exit.NO where it did not come to an end."""
        name = options["read_model"]
        if options["key"] or options["where"]:
            return _part(name, options["key"], _each_once(options["where"]), out)
        return _all_of(name, out)


def _condition(text: str) -> tuple[str, str]:
    field, separator, value = text.partition("=")
    if not (field and separator):
        raise ArgumentTypeError(f"{text!r}; accepted: FIELD=VALUE, for example status=paid")
    return field, value


def _each_once(conditions: Sequence[tuple[str, str]]) -> dict[str, str]:
    found = dict(conditions)
    if len(found) < len(conditions):
        raise Refused("--where names a field twice; accepted: each once, for example status__in=paid,shipped")
    return found


def _part(name: str, keys: list[str], where: dict[str, str], out: Output) -> Exit:
    asked = partial.ask(declared()[name], keys=keys, where=where)
    with _bar(out) as bar:
        task = bar.add_task(name, total=asked.documents, speed="")
        while left := partial.left(asked):
            bar.update(task, completed=asked.documents - left)
            if not projector.settle(Store(), Lane.BULK):
                time.sleep(LOOK_SECONDS)
    out.document({"read_model": name, "documents": asked.documents})
    out.line(f"{name}: {asked.documents} documents built anew")
    return Exit.FINE


def _all_of(name: str, out: Output) -> Exit:
    number = switching.begin(name)
    store = Store()
    try:
        with _bar(out) as bar:
            _build(store, name, bar, bar.add_task(name, total=None, speed=""))
    except KeyboardInterrupt:
        switching.cancel(name)
    state = switching.state(name, number)
    out.document({"read_model": name, "generation": number, "state": state})
    out.line(f"{name}: generation {number} is {state}")
    return Exit.FINE if state == "live" else Exit.NO


def _build(store: Store, name: str, bar: Progress, task: TaskID) -> None:
    """Builds, alone or with others, until nothing of the read model is being built."""

    def under_way() -> list[builds.Progress]:
        return [each for each in builds.progress() if each.read_model == name]

    def show(*_: object) -> None:
        for each in under_way():
            bar.update(task, completed=each.rows, total=each.expected_rows, speed=_speed(each))

    while under_way():
        show()
        if sweeping.repair(store, on_range=show):
            projector.settle(store)  # what was pending when it was registered comes before the switch
        else:
            time.sleep(LOOK_SECONDS)


def _speed(each: builds.Progress) -> str:
    """Rate and time left, as they stand in PostgreSQL and `status` shows them."""
    if each.is_filled:
        return "filled; compared with a fresh build before the switch"
    left = "" if each.seconds_left is None else f", {timedelta(seconds=round(each.seconds_left))} left"
    return f"{each.rows_per_second:,.0f} rows/s{left}"


def _bar(out: Output) -> Progress:
    """A bar with what is done, on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"))
    console = out.console()
    return Progress(*columns, console=console, disable=out.is_json or not console.is_terminal, transient=True)
