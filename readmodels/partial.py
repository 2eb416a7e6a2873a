"""Builds some documents of a read model anew: those of given keys, or of the root rows that a filter selects.

They go the way of every change, as children of a fan-out that nobody wrote: through the outbox, in the bulk lane, under
the version guard.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import FieldError, ValidationError
from django.db import connection, transaction
from django.db.models import TextField
from django.db.models.functions import Cast

from readmodels import outbox, snapshot
from readmodels.declare import ReadModel
from readmodels.errors import WrongSelection

INSERT = f"""
    WITH put AS (
        INSERT INTO readmodels_change (source, key, xid, at, shard, writers, read_models)
        SELECT %s, key, pg_current_xact_id()::text::bigint, clock_timestamp(),
               {outbox.SHARDS} + (hashtext(key) & {outbox.SHARDS - 1}), ARRAY[pg_current_xact_id()::text::bigint],
               ARRAY[%s]
        FROM ({{selected}}) AS chosen (key)
        RETURNING 1)
    SELECT count(*), pg_current_xact_id()::text::bigint FROM put"""


@dataclass(frozen=True)
class Asked:
    """How many documents are to be built anew, and the transaction that asks for them."""

    documents: int
    xid: int


def ask(read_model: type[ReadModel], *, keys: Sequence[str] = (), where: Mapping[str, str] | None = None) -> Asked:
    """The documents of these root keys, or of the root rows that the filter selects, are to be built anew.

    `where` is as QuerySet.filter takes it. Raises WrongSelection.
    """
    if keys:
        selected, parameters = "SELECT DISTINCT unnest(%s::text[])", (list(keys),)
    else:
        selected, parameters = _selected(read_model, where or {})
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            INSERT.format(selected=selected), [read_model.root._meta.db_table, read_model.__name__, *parameters]
        )
        return Asked(*cursor.fetchone())


def left(asked: Asked) -> int:
    """How many of them are still to be built."""
    with snapshot.reading() as (cursor, _):
        cursor.execute("SELECT count(*) FROM readmodels_change WHERE writers @> ARRAY[%s::bigint]", [asked.xid])
        return int(cursor.fetchone()[0])


def _selected(read_model: type[ReadModel], where: Mapping[str, str]) -> tuple[str, tuple[Any, ...]]:
    try:
        rows = read_model.root._default_manager.filter(**where).values_list(Cast("pk", TextField())).distinct()
        sql, parameters = rows.query.sql_with_params()
    except (FieldError, ValidationError, ValueError, TypeError) as error:
        raise WrongSelection(f"{read_model.root.__name__} can't be filtered like this: {error}") from error
    return sql, parameters
