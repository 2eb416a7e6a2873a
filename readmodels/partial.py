"""Builds some documents of a read model anew: those of given keys, or of the root rows that a filter selects.

They go the way of every change, as children of a fan-out that nobody wrote: through the outbox, in the bulk lane, under
the version guard.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from warnings import catch_warnings, simplefilter

from django.core.exceptions import EmptyResultSet, FieldError, ValidationError
from django.db import DataError, connection, transaction
from django.db.models import Model, TextField
from django.db.models.functions import Cast

from readmodels import outbox, snapshot
from readmodels.declare import ReadModel
from readmodels.errors import WrongSelection
from readmodels.positions import value_field

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

    `where` is as QuerySet.filter takes it, values of `__in` and `__range` with commas between. Raises WrongSelection.
    """
    selected, parameters = _of_keys(read_model.root, keys) if keys else _selected(read_model.root, where or {})
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                INSERT.format(selected=selected), [read_model.root._meta.db_table, read_model.__name__, *parameters]
            )
            return Asked(*cursor.fetchone())
    except DataError as error:
        raise WrongSelection(f"{read_model.root.__name__} can't be selected like this: {error}") from error


def left(asked: Asked) -> int:
    """How many of them are still to be built."""
    with snapshot.reading() as (cursor, _):
        cursor.execute("SELECT count(*) FROM readmodels_change WHERE writers @> ARRAY[%s::bigint]", [asked.xid])
        return int(cursor.fetchone()[0])


def _of_keys(root: type[Model], keys: Sequence[str]) -> tuple[str, tuple[Any, ...]]:
    """Each key once, as PostgreSQL writes it."""
    kind = value_field(root._meta.pk).cast_db_type(connection)
    return f"SELECT DISTINCT unnest(%s::text[]::{kind}[])::text", (list(keys),)


def _selected(root: type[Model], where: Mapping[str, str]) -> tuple[str, tuple[Any, ...]]:
    given = {field: _value(field, text) for field, text in where.items()}
    try:
        with catch_warnings():
            # Of a time without a time zone Django would only warn, and take it for one of TIME_ZONE.
            simplefilter("error", RuntimeWarning)
            rows = root._default_manager.filter(**given).values_list(Cast("pk", TextField())).distinct()
        sql, parameters = rows.query.sql_with_params()
    except RuntimeWarning as error:
        reason = f"{str(error).rstrip('.')}; accepted: with its time zone, for example 2026-11-01T00:00Z"
        raise WrongSelection(f"{root.__name__} can't be selected like this: {reason}") from error
    except EmptyResultSet as error:
        raise WrongSelection(f"no {root.__name__} can be like this") from error
    except (FieldError, ValidationError, ValueError, TypeError) as error:
        raise WrongSelection(f"{root.__name__} can't be selected like this: {_text(error)}") from error
    return sql, parameters


def _value(field: str, text: str) -> str | list[str] | bool:
    """What QuerySet.filter takes, for those lookups that take no text."""
    lookup = field.rpartition("__")[2]
    if lookup == "isnull":
        if text not in ("true", "false"):
            raise WrongSelection(f"{field}={text}; accepted: true, false")
        return text == "true"
    return text.split(",") if lookup in ("in", "range") else text


def _text(error: Exception) -> str:
    return " ".join(error.messages) if isinstance(error, ValidationError) else str(error)
