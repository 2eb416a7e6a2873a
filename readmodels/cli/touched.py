"""`readmodels touched`: what a change would reach, before it is made."""

import json
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.apps import apps
from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import Model

from readmodels import building, generations, snapshot
from readmodels.cli.base import Action, Exit, Output, Refused
from readmodels.conf import conf
from readmodels.declare import declared
from readmodels.generations import Generation
from readmodels.graph import uses
from readmodels.models import GenerationState
from readmodels.outbox import Change, Lane
from readmodels.plan import Plan
from readmodels.why import key_value


@dataclass(frozen=True)
class Reach:
    """What a change would touch in one read model; `by_other_tables` of the documents are found by way of these."""

    read_model: str
    generation: int
    kind: str
    documents: int
    by_other_tables: int
    lane: str


class Touched(Action):
    """Count the documents and rows that a change to one row would touch, before it is made.

    Use it before a large write (a rename, a price change) to learn how much work it makes, and where: what reaches
    more than FAN_OUT_DOCUMENTS documents of a read model by way of other tables goes through the bulk lane, so that
    nothing small waits behind it. MODEL is app_label.Model and PK its primary key; --field names what would change, by
    default every column that a read model uses. A foreign key that moves touches the rows of its new side as well,
    which only the new value tells: ask for these apart. Documents that a `where` leaves out are counted too; they are
    looked at. Nothing is written.
    """

    name = "touched"
    exits = {
        Exit.FINE: "the live lane takes all of it",
        Exit.NO: "some of it would go through the bulk lane",
        Exit.REFUSED: "wrong arguments, no such row, or a server does not answer, or not within STATEMENT_SECONDS",
    }
    examples = ("touched users.User 3 --field name", "touched orders.Product 17 --json")

    def arguments(self, parser: ArgumentParser) -> None:
        """The row, and what of it would change."""
        parser.add_argument("model", type=model, metavar="MODEL", help="app_label.Model")
        parser.add_argument("pk", metavar="PK", help="the row's primary key")
        parser.add_argument(
            "--field", action="append", dest="fields", metavar="F", help="a field that would change; may be repeated"
        )

    def run(self, options: Mapping[str, Any], out: Output) -> Exit:
        """Exit.NO where the bulk lane would have work."""
        of: type[Model] = options["model"]
        named = columns(of, options["fields"])
        with snapshot.reading() as (cursor, _):
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{conf().statement_seconds}s"])
            served = by_name(generations.current(cursor))
            change = made_up(cursor, of, options["pk"], named, [each.plan for each in served])
            found = [reach(cursor, each, change) for each in served if building.is_concerned(each.plan, change)]
        total = sum(each.documents for each in found)
        out.document(
            {
                "model": of._meta.label,
                "key": change.key,
                "columns": change.columns,
                "read_models": [asdict(each) for each in found],
                "documents": total,
            }
        )
        nothing = f"no read model uses {' or '.join(named or ['any column'])} of {of._meta.label}"
        out.rows([asdict(each) for each in found], nothing)
        out.line(f"documents {total}")
        return Exit.NO if any(each.lane == Lane.BULK.name.lower() for each in found) else Exit.FINE


def model(text: str) -> type[Model]:
    """An argument's type: app_label.Model of any installed app."""
    try:
        return apps.get_model(text)
    except (LookupError, ValueError) as error:
        known = sorted({use.model._meta.label for each in declared().values() for use in uses(each)})
        raise ArgumentTypeError(f"{text!r} is no model; read models are made of {', '.join(known)}") from error


def columns(of: type[Model], fields: Sequence[str] | None) -> list[str] | None:
    """The columns of these fields, None for all; raises Refused."""
    if fields is None:
        return None
    by_name = {name: str(field.column) for field in of._meta.concrete_fields for name in (field.name, field.attname)}
    unknown = sorted(set(fields) - set(by_name))
    if unknown:
        accepted = ", ".join(field.name for field in of._meta.concrete_fields)
        raise Refused(f"--field {unknown[0]!r} is no field of {of._meta.label}; accepted: {accepted}")
    return sorted({by_name[name] for name in fields})


def by_name(current: Sequence[Generation]) -> list[Generation]:
    """One generation of each read model, by name: the live one, or else the newest."""
    chosen = {each.plan.name: each for each in current if each.state != GenerationState.RETIRED}
    chosen |= {each.plan.name: each for each in current if each.state == GenerationState.LIVE}
    return [chosen[name] for name in sorted(chosen)]


def made_up(
    cursor: CursorWrapper, of: type[Model], pk: str, named: Collection[str] | None, plans: Sequence[Plan]
) -> Change:
    """The change that an update of these columns of the row would leave in the outbox; raises Refused."""
    table = of._meta.db_table
    used = {
        column
        for plan in plans
        for dependency in plan.dependencies
        if dependency.table == table
        for column in dependency.columns
    }
    routes = {column for plan in plans for column in plan.routes.get(table, ())}
    key, columns = routing_record(cursor, of, pk, routes)
    record = json.dumps(columns)
    # A changed primary key is no change of a column: one row goes, another comes.
    changed = used - {str(of._meta.pk.column)} if named is None else used.intersection(named)
    return Change(0, 0, table, key, tuple(sorted(changed)), [], None, False, 0, None, record, record, time.time())


def routing_record(
    cursor: CursorWrapper, of: type[Model], pk: str, routes: Collection[str]
) -> tuple[str, dict[str, Any]]:
    """(key, the columns by which documents are found) of the row, as capture would keep them; raises Refused."""
    quote = connection.ops.quote_name
    pairs = ", ".join(f"'{column}', {quote(column)}" for column in sorted(routes))
    column = quote(str(of._meta.pk.column))
    cursor.execute(
        f"SELECT {column}::text, jsonb_build_object({pairs}) FROM {quote(of._meta.db_table)} WHERE {column} = %s",
        [key_value(of, str(of._meta.pk.column), pk)],
    )
    row = cursor.fetchone()
    if row is None:
        raise Refused(f"there is no {of._meta.label} {pk}; accepted: the primary key of a row that there is")
    return str(row[0]), json.loads(row[1])


def reach(cursor: CursorWrapper, generation: Generation, change: Change) -> Reach:
    """What the change would touch of a generation; nothing is fetched but numbers."""
    plan = generation.plan
    ways = [*building.ways(plan, [change])]
    by_other_tables = count(cursor, [], ways)
    documents = count(cursor, sorted(building.own_roots(plan, change)), ways)
    lane = Lane.BULK if by_other_tables > conf().fan_out_documents else Lane.LIVE
    return Reach(plan.name, generation.number, plan.kind, documents, by_other_tables, lane.name.lower())


def count(cursor: CursorWrapper, own: list[str], ways: Sequence[tuple[str, list[str]]]) -> int:
    """How many root rows these keys and statements name together."""
    union = " UNION ".join(["SELECT unnest(%s::text[])", *(sql for sql, _ in ways)])
    cursor.execute(f"SELECT count(*) FROM ({union}) AS touched (key)", [own, *(anchors for _, anchors in ways)])
    return int(cursor.fetchone()[0])
