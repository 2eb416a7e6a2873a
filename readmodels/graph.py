"""The dependency graph of a read model, read off its expressions: which columns of which tables, by which path.

Nothing here needs a database. What can't be followed exactly is refused with the name of the field and the way out.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Aggregate, F, Field, Model, OuterRef, Q, QuerySet, Subquery, Window
from django.db.models.expressions import RawSQL
from django.db.models.fields.reverse_related import ForeignObjectRel
from django.db.models.functions import Now, Random
from django.db.models.sql import Query

from readmodels.declare import Collection, Count, Document, Many, ManyCount, ManySum, ReadModel, Sum
from readmodels.errors import WrongDeclaration

VOLATILE = {"RANDOM", "NOW", "CLOCK_TIMESTAMP", "STATEMENT_TIMESTAMP", "TRANSACTION_TIMESTAMP", "TIMEOFDAY", "NEXTVAL"}
VOLATILE |= {"CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME", "LOCALTIMESTAMP", "LOCALTIME"}
VOLATILE |= {"GEN_RANDOM_UUID", "UUIDV4", "UUIDV7"}
OPAQUE = (Subquery, RawSQL, Window, Aggregate, OuterRef, QuerySet, Query)


@dataclass(frozen=True)
class Hop:
    """One step of a path: rows of `far` that belong to a row of `near`."""

    near: type[Model]
    near_column: str
    far: type[Model]
    far_column: str
    is_reverse: bool
    is_enforced: bool


Path = tuple[Hop, ...]


@dataclass(frozen=True)
class Use:
    """A column that a read model reads, at the end of a path from the root."""

    path: Path
    model: type[Model]
    column: str


def uses(read_model: type[ReadModel]) -> set[Use]:
    """Every column the read model depends on, link columns included; raises WrongDeclaration."""
    return set(_declared_uses(read_model))


@dataclass(frozen=True)
class Source:
    """The rows at the end of a path, and what is read of them.

    `updates_only`: an enforced foreign key points at them, so none comes or goes without the pointing row changing too.
    """

    path: Path
    model: type[Model]
    columns: list[str]

    @property
    def updates_only(self) -> bool:
        """Whether only updates of these rows matter."""
        return bool(self.path) and not self.path[-1].is_reverse and self.path[-1].is_enforced


def sources(read_model: type[ReadModel]) -> list[Source]:
    """What is read at the end of each path; raises WrongDeclaration."""
    columns: dict[Path, set[str]] = defaultdict(set)
    models: dict[Path, type[Model]] = {}
    for use in uses(read_model):
        columns[use.path].add(use.column)
        models[use.path] = use.model
    return [Source(path, models[path], sorted(names)) for path, names in columns.items()]


def columns_of(expression: Any, root: type[Model]) -> set[str]:
    """The root's columns in an expression that may read no other table; raises WrongDeclaration."""
    found = set(_expression(expression, root, ()))
    if any(use.path for use in found):
        raise WrongDeclaration(
            f"{expression!r} reads another table than {root._meta.db_table}; its value before a change would be lost: "
            "copy the column to the root"
        )
    return {use.column for use in found}


def _declared_uses(read_model: type[ReadModel]) -> Iterator[Use]:
    root = read_model.root
    yield Use((), root, _pk(root).column)
    yield from _body(read_model.body, root, ())
    yield from _expression(read_model.where, root, ())
    if issubclass(read_model, Document):
        yield from _expression(read_model.key, root, ())
    if issubclass(read_model, Collection):
        _require_listing(read_model)
        yield from _expression(read_model.partition_by, root, ())
        yield from _expression(read_model.order_by, root, ())
        for name in read_model.filter_by:
            yield from _name(name, root, ())
        for measure in read_model.measures.values():
            yield from _expression(getattr(measure, "expression", None), root, ())
            yield from _expression(measure.where, root, ())


def _require_listing(collection: type[Collection]) -> None:
    for name in ("partition_by", "order_by"):
        if not hasattr(collection, name):
            raise WrongDeclaration(f"has no {name}: say which column its pages are listed by")
    order = collection.order_by
    if isinstance(order, str):
        raise WrongDeclaration(f"order_by={order!r}: write F({order.lstrip('-')!r}), and .desc() for falling order")


def _body(body: Mapping[str, Any], model: type[Model], path: Path) -> Iterator[Use]:
    for value in body.values():
        yield from _value(value, model, path)


def _value(value: Any, model: type[Model], path: Path) -> Iterator[Use]:
    if isinstance(value, Mapping):
        yield from _body(value, model, path)
    elif isinstance(value, Many | ManySum | ManyCount):
        yield from _many(value, model, path)
    else:
        yield from _expression(value, model, path)


def _many(many: Many | ManySum | ManyCount, model: type[Model], path: Path) -> Iterator[Use]:
    hop = reverse_hop(model, many.relation)
    inner = (*path, hop)
    yield from _links(inner)
    yield from _expression(many.where, hop.far, inner)
    if isinstance(many, Many):
        yield from _body(many.body, hop.far, inner)
        yield from _name(many.order_by.lstrip("-"), hop.far, inner)
    elif isinstance(many, ManySum):
        yield from _expression(many.expression, hop.far, inner)


def _expression(expression: Any, model: type[Model], path: Path) -> Iterator[Use]:
    if isinstance(expression, Many | ManySum | ManyCount):
        yield from _many(expression, model, path)
    elif isinstance(expression, OPAQUE):
        raise WrongDeclaration(
            f"{type(expression).__name__} in a body can't be followed to its columns: use Many, ManySum or ManyCount"
        )
    elif "SELECT" in _words(expression):
        raise WrongDeclaration(f"{expression!r} reads what can't be followed: use Many, ManySum or ManyCount")
    elif _is_volatile(expression):
        raise WrongDeclaration(f"{expression!r} gives another value each time: store what it gives in a column")
    elif isinstance(expression, Sum | Count):
        raise WrongDeclaration(f"{expression!r} is a measure: over related rows use ManySum or ManyCount")
    elif isinstance(expression, list | tuple | set | frozenset):
        for part in expression:
            yield from _operand(part, model, path)
    elif isinstance(expression, str):
        yield from _name(expression, model, path)
    elif isinstance(expression, F):
        yield from _name(expression.name, model, path)  # type: ignore[attr-defined]  # missing in the stubs
    elif isinstance(expression, Q):
        for child in expression.children:
            yield from _condition(child, model, path)
    elif hasattr(expression, "get_source_expressions"):
        for source in expression.get_source_expressions():
            yield from _expression(source, model, path)


def _condition(child: Any, model: type[Model], path: Path) -> Iterator[Use]:
    if not isinstance(child, tuple):
        yield from _expression(child, model, path)
        return
    name, value = child
    yield from _name(name, model, path)
    yield from _operand(value, model, path)


def _operand(value: Any, model: type[Model], path: Path) -> Iterator[Use]:
    """What a condition compares with: text is a value there, not the name of a column."""
    if not isinstance(value, str):
        yield from _expression(value, model, path)


def _is_volatile(expression: Any) -> bool:
    """Whether the SQL function gives another value each time."""
    return isinstance(expression, Now | Random) or not VOLATILE.isdisjoint(_words(expression))


def _words(expression: Any) -> set[str]:
    """The words of an SQL function's name and template, set by class or by call, in capitals."""
    extra = getattr(expression, "extra", {})
    texts = [getattr(expression, "function", ""), getattr(expression, "template", ""), *extra.values()]
    return {word for text in texts if isinstance(text, str) for word in re.findall(r"\w+", text.upper())}


def _name(name: str, model: type[Model], path: Path) -> Iterator[Use]:
    """Follow `customer__region__name`, leaving off what is a lookup or transform at its end."""
    parts = name.split("__")
    for position, part in enumerate(parts):
        field = _field(model, part, name)
        if isinstance(field, ForeignObjectRel):
            path = (*path, _single_reverse_hop(field, name))
            yield from _links(path)
            model = path[-1].far
            continue
        yield Use(path, model, field.column)
        following = parts[position + 1 : position + 2]
        if not following or not field.is_relation or part == field.attname or _stays(field, following[0]):
            return
        path = (*path, _forward_hop(model, field))
        model = path[-1].far


def _field(model: type[Model], part: str, name: str) -> Any:
    if part == "pk":
        return _pk(model)
    try:
        field = model._meta.get_field(part)
    except FieldDoesNotExist as error:
        raise WrongDeclaration(f"{name!r}: {model.__name__} has no column {part!r}") from error
    if isinstance(field, Field) and field.model._meta.concrete_model is not model._meta.concrete_model:
        raise WrongDeclaration(f"{name!r}: {part!r} is inherited from another table: follow the parent link by name")
    if isinstance(field, Field) and field.many_to_many:
        raise WrongDeclaration(f"{name!r}: {part!r} is many-to-many: use Many over the table between")
    if not isinstance(field, ForeignObjectRel) and getattr(field, "column", None) is None:
        raise WrongDeclaration(f"{name!r}: {part!r} is no column of its own: name the columns that it is made of")
    return field


def _stays(foreign_key: Any, part: str) -> bool:
    """Whether `part` after a foreign key needs no other table: the key itself, or a lookup on it."""
    target = foreign_key.target_field
    if part in ("pk", target.name, target.attname):
        return bool(part != "pk" or target.primary_key)
    far_names = {name for field in foreign_key.related_model._meta.get_fields() for name in _names(field)}
    return part not in far_names and foreign_key.get_lookup(part) is not None


def _names(field: Any) -> tuple[str, ...]:
    return (field.name, getattr(field, "attname", field.name))


def reverse_hop(model: type[Model], relation: str) -> Hop:
    """The hop to the rows whose foreign key points at `model`, by the relation's accessor name."""
    for field in model._meta.get_fields(include_hidden=True):
        if isinstance(field, ForeignObjectRel) and relation in (field.name, field.get_accessor_name()):
            if field.many_to_many:
                raise WrongDeclaration(f"Many({relation!r}) is many-to-many: use Many over the table between")
            return _reverse_hop(field)
    raise WrongDeclaration(f"Many({relation!r}): {model.__name__} has no such reverse relation")


def _single_reverse_hop(rel: ForeignObjectRel, name: str) -> Hop:
    if not rel.one_to_one:
        raise WrongDeclaration(f"{name!r} lists several {rel.related_model.__name__} rows: use Many({rel.name!r}, ...)")
    return _reverse_hop(rel)


def _reverse_hop(rel: Any) -> Hop:
    key = rel.field
    return Hop(rel.model, key.target_field.column, rel.related_model, key.column, True, key.db_constraint)


def _forward_hop(model: type[Model], key: Any) -> Hop:
    return Hop(model, key.column, key.related_model, key.target_field.column, False, key.db_constraint)


def _links(path: Path) -> Iterator[Use]:
    """The columns that the last hop itself reads."""
    hop = path[-1]
    if hop.is_reverse:
        yield Use(path, hop.far, hop.far_column)


def _pk(model: type[Model]) -> Any:
    pk = model._meta.pk
    if pk is None or pk.column is None:
        raise WrongDeclaration(f"{model.__name__} has no primary key of one column, which a change could name: add one")
    return pk
