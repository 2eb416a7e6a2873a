"""`readmodels why`: what a document was made from, and how far its last change got."""

import json
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from readmodels import why
from readmodels.cli.base import Action, Exit, Output, number, read_model
from readmodels.store import Store
from readmodels.why import Place, Touch


class Why(Action):
    """Explain one document: the rows it was made from, its last change, and how far that got.

    Use it when somebody asks why a page shows what it shows. NAME is a read model. KEY is a document's key; for a row
    of a collection `partition/row id`, or the key of the row that it is made from, wherever it is listed. It shows the
    rows and columns that the document is made from and what they hold now; the last change that touched it, with its
    transaction, trace and time; when that was captured, built and applied; the version that is served; whether changes
    are pending or parked; and whether it is what a fresh build gives. The last change is looked for among those that
    are pending and those kept for ACKNOWLEDGED_HOURS, by way of the rows that the document is made from now. Nothing is
    written. Values are shown as they are, personal ones too.
    """

    name = "why"
    exits = {
        Exit.FINE: "it is served, as PostgreSQL has it, and nothing of it is pending or parked",
        Exit.NO: "there is none, or something of it is pending, parked or different",
    }
    examples = ("why OrderDetail 1", "why CustomerOrders 3/1", "why CustomerOrders 1 --json")

    def arguments(self, parser: ArgumentParser) -> None:
        """Which document, and how many of its rows."""
        parser.add_argument("read_model", type=read_model, metavar="NAME", help="a read model")
        parser.add_argument(
            "key", metavar="KEY", help="a document's key; partition/row id or a root key of a collection"
        )
        parser.add_argument(
            "--rows", type=number, default=why.MOST_ROWS, metavar="N", help="rows shown of each table (%(default)s)"
        )

    def run(self, options: Mapping[str, Any], out: Output) -> Exit:
        """Exit.FINE where all is as it should be."""
        found = why.explain(Store(), options["read_model"], options["key"], options["rows"])
        out.document({**asdict(found), "is_right": found.is_right})
        out.line(f"{found.read_model} {options['key']}, generation {found.generation}")
        out.rows([place_row(place) for place in found.places], "no row, and no change is kept that tells where it was")
        out.line("made from:")
        rows = [{"table": row.table, "key": row.key, "columns": as_text(row.values)} for row in found.rows]
        out.rows(rows, "no rows: what it was made from is gone")
        for line in story(found):
            out.line(line)
        return Exit.FINE if found.is_right else Exit.NO


def place_row(place: Place) -> dict[str, Any]:
    """One place in Redis."""
    return {
        "key": place.key,
        "state": place.state,
        "epoch": place.epoch,
        "version": place.number,
        "built_at": place.built_at,
        "is_as_in_postgresql": place.is_as_in_postgresql,
    }


def as_text(values: Mapping[str, Any]) -> str:
    """Columns and what they hold, one a line."""
    return "\n".join(f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items())


def story(found: why.Why) -> Iterator[str]:
    """What happened, in order, and what is still to happen."""
    if found.has_more_rows:
        yield "There are more rows; --rows shows more."
    if not found.is_declared:
        yield "This generation is of another declaration than the running code has; the rows above are by the latter."
    if found.last_change is None:
        yield (
            f"last change: none is pending, and none of the last {found.kept_hours} h is kept: it is older, or what is "
            "served came by a rebuild"
        )
    else:
        yield from last_change(found.last_change, found.places, is_parked=bool(found.dead_letters))
    yield f"pending: {found.pending_changes or 'no'} changes"
    for letter in found.dead_letters:
        when = f"{letter.parked_at:%F %T}"
        yield f"parked: dead letter {letter.id} of generation {letter.generation}, {when}: {letter.error}"
    if found.build_error:
        yield f"can't be built: {found.build_error}"


def last_change(touch: Touch, places: list[Place], *, is_parked: bool) -> Iterator[str]:
    """How the change got from its transaction to Redis."""
    columns = f"columns: {', '.join(touch.columns)}" if touch.columns else "the row came or went"
    writers = ", ".join(str(xid) for xid in touch.writers)
    yield f"last change: {touch.table} {touch.key} ({columns}), transaction {writers}, trace {touch.trace or 'none'}"
    yield f"captured: {touch.captured_at:%F %T.%f %Z}"
    for place in places:
        if place.version is not None:
            when = f"{place.built_at:%F %T.%f %Z}" if place.built_at else "time not kept"
            shown = {True: "shows the change", False: "does not show the change", None: "can't tell if it shows it"}
            version = f"epoch {place.epoch}, version {place.number}"
            yield f"built: {place.key}, {when}, {version}; {shown[place.shows_last_change]}"
    if touch.acknowledged_xid is None:
        yield "applied: not yet, it is pending"
    else:
        how = "no, what was parked is left of it;" if is_parked else "yes,"
        yield f"applied: {how} acknowledged by transaction {touch.acknowledged_xid} of epoch {touch.acknowledged_epoch}"
