"""System checks: a declaration that can't be served exactly is refused before anything runs, naming the field and what
to do instead; with a database at hand, triggers that differ from the declarations are named.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning
from django.core.checks import register as register_check
from django.core.exceptions import FieldError
from django.db import DatabaseError, connection
from django.db.models import (
    BooleanField,
    CharField,
    DateField,
    DateTimeField,
    F,
    Field,
    IntegerField,
    Model,
    TextField,
    UUIDField,
    Value,
)
from django.db.models.expressions import OrderBy

from readmodels.declare import Collection, Document, ManyCount, ManySum, ReadModel, Sum, declared
from readmodels.errors import WrongDeclaration
from readmodels.graph import columns_of, reverse_hop, uses
from readmodels.positions import position_sql, value_field

KEY_TYPES = (IntegerField, CharField, TextField, UUIDField, DateField, BooleanField)
MAX_FILTERS = 3  # each row is listed under every subset of its filter values: 8 entries at the most


def register() -> None:
    """The checks run with `manage.py check`, those of the database with `check --database default` and `migrate`."""
    register_check(check_declarations, "readmodels")
    register_check(check_triggers, Tags.database)


def check_declarations(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Called by Django once per start of a management command; touches no database."""
    return [
        Error(f"{name}: {problem}", obj=read_model, id="readmodels.E001")
        for name, read_model in declared().items()
        for problem in problems(read_model)
    ]


def check_triggers(app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Called by Django where a database is checked; says which triggers are missing, changed or switched off."""
    from readmodels import generations

    if not databases or connection.alias not in databases or "migrate" in sys.argv[1:2]:
        return []  # `migrate` checks before it installs them
    try:
        missing = generations.missing_triggers()
    except DatabaseError:
        return []  # nothing is migrated yet
    if not missing:
        return []
    hint = "Run `manage.py migrate`: it installs the triggers that the declared read models need."
    return [Warning(f"capture is not installed as declared: {', '.join(missing)}", hint=hint, id="readmodels.W001")]


def problems(read_model: type[ReadModel]) -> list[str]:
    """What keeps a read model from being served exactly."""
    try:
        uses(read_model)
        if issubclass(read_model, Document):
            return list(_document_problems(read_model))
        if issubclass(read_model, Collection):
            return list(_collection_problems(read_model))
    except (WrongDeclaration, FieldError) as refusal:
        return [str(refusal)]
    return ["is neither a Document nor a Collection: derive it from one of them"]


def _document_problems(document: type[Document]) -> Iterator[str]:
    columns = columns_of(document.key, document.root)
    field = _column(document.root, columns.pop()) if len(columns) == 1 else None
    if field is None or not isinstance(document.key, F):
        yield f"key={document.key!r}: must be one column of {document.root.__name__}"
    elif not _is_unique(field) or field.null:
        yield f"key={document.key!r}: must be unique and not null; declare a Collection for a key shared by rows"
    else:
        yield from _key_problem("key", field)


def _collection_problems(collection: type[Collection]) -> Iterator[str]:
    is_meant = isinstance(collection.partition_by, Value)
    if not is_meant and not columns_of(collection.partition_by, collection.root):
        yield (
            "partition_by reads no column: all rows would live on one server; where there are few, and they change "
            "seldom, say that it is meant with Value('all')"
        )
    yield from _key_problem("partition_by", _type_of(collection.partition_by, collection.root))
    yield from _order_problems(collection)
    if len(collection.filter_by) > MAX_FILTERS:
        yield f"filter_by has {len(collection.filter_by)} fields, at most {MAX_FILTERS} are kept: partition by one"
    for name, measure in collection.measures.items():
        if isinstance(measure, Sum) and not _is_integer(measure.expression, collection.root):
            yield f"measure {name!r} sums {measure.expression!r}, which is no integer: store minor units"


def _order_problems(collection: type[Collection]) -> Iterator[str]:
    order = collection.order_by if isinstance(collection.order_by, OrderBy) else OrderBy(collection.order_by)
    position_sql("", _type_of(order.expression, collection.root))
    if order.nulls_first if order.descending else order.nulls_last:
        yield f"order_by={collection.order_by!r}: NULL counts as the least value, take nulls_first and nulls_last off"


def _is_integer(expression: Any, root: type[Model]) -> bool:
    if isinstance(expression, ManySum):
        return _is_integer(expression.expression, reverse_hop(root, expression.relation).far)
    return isinstance(expression, ManyCount) or isinstance(_type_of(expression, root), IntegerField)


def _is_unique(field: "Field[Any, Any]") -> bool:
    alone = (constraint.fields for constraint in field.model._meta.total_unique_constraints)
    return field.unique or (field.name,) in alone


def _key_problem(name: str, field: "Field[Any, Any]") -> Iterator[str]:
    field = value_field(field)
    if isinstance(field, DateTimeField) or not isinstance(field, KEY_TYPES):
        yield f"{name} of type {type(field).__name__}: use an integer, text, UUID or date"


def _column(model: type[Model], column: str) -> "Field[Any, Any]":
    field: Any = next(field for field in model._meta.concrete_fields if field.column == column)
    return field  # type: ignore[no-any-return]


def _type_of(expression: Any, root: type[Model]) -> Any:
    if isinstance(expression, str):
        expression = F(expression)
    return value_field(root._base_manager.annotate(rm_value=expression).query.annotations["rm_value"].output_field)
