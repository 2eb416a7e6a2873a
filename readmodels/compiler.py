"""Compiles a declaration to a plan: the SQL that builds its documents, and the way from a change to what it touches."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import (
    BigIntegerField,
    Case,
    F,
    Func,
    Model,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextField,
    Value,
    When,
)
from django.db.models.expressions import OrderBy
from django.db.models.functions import Cast, Coalesce

from readmodels.declare import Collection, Count, Document, Many, ManyCount, ManySum, ReadModel, Sum
from readmodels.graph import Path, Source, columns_of, reverse_hop, sources, uses
from readmodels.json_text import JSONText
from readmodels.plan import Dependency, Plan
from readmodels.positions import has_integer_key, position_sql, row_id_sql, value_field


def compile_plan(read_model: type[ReadModel]) -> Plan:
    """The plan of a declaration; raises WrongDeclaration where it can't be served exactly."""
    if issubclass(read_model, Collection):
        return _collection(read_model)
    if issubclass(read_model, Document):
        return _document(read_model)
    raise TypeError(f"{read_model.__name__} is neither a Document nor a Collection")


def _document(document: type[Document]) -> Plan:
    key = columns_of(document.key, document.root).pop()
    inner = _sql(_rows(document, rm_key=document.key))
    columns = 'q."rm_key"::text, q."rm_body"'
    return Plan(
        kind="document",
        build_sql=f'SELECT {columns} FROM ({inner}) q WHERE q."rm_key" = ANY({_array(document.root, key)})',
        placed_sql=_select(document.root, f"{_quote(key)}::text"),
        record_sql=None,
        key_column=key,
        filters=[],
        measures=[],
        is_descending=False,
        **_common(document, {key}),
    )


def _collection(collection: type[Collection]) -> Plan:
    root = collection.root
    order = collection.order_by if isinstance(collection.order_by, OrderBy) else OrderBy(collection.order_by)
    named: dict[str, Any] = {"rm_part": _text(collection.partition_by), "rm_order": order.expression}
    named |= {f"rm_f{i}": F(name) for i, name in enumerate(collection.filter_by)}
    named |= {f"rm_m{i}": _contribution(measure, root) for i, measure in enumerate(collection.measures.values())}
    rows = _rows(collection, **named)
    inner = _sql(rows)
    columns = ", ".join(
        (
            row_id_sql('q."rm_pk"', root),
            'q."rm_part"',
            position_sql('q."rm_order"', rows.query.annotations["rm_order"].output_field),
            _list("q.rm_f{}::text", len(collection.filter_by), "text"),
            _list("COALESCE(q.rm_m{}, 0)", len(collection.measures), "bigint"),
            'q."rm_body"',
        )
    )
    pk = _pk(root)
    placed = _sql(_rows_of(root).annotate(rm_pk=F("pk"), rm_part=named["rm_part"]).values_list("rm_pk", "rm_part"))
    from_table = f" FROM {_quote(root._meta.db_table)}"
    record = f" FROM jsonb_populate_recordset(NULL::{_quote(root._meta.db_table)}, %s::jsonb) AS "
    located = f"SELECT {row_id_sql('p.rm_pk', root)}, p.rm_part FROM ({{}}) p WHERE p.rm_part IS NOT NULL"
    return Plan(
        kind="collection",
        build_sql=f"SELECT {columns} FROM ({inner}) q"
        f' WHERE q."rm_part" IS NOT NULL AND q."rm_pk" = ANY({_array(root, pk)})',
        placed_sql=f"{located.format(placed)} AND p.rm_pk = ANY({_array(root, pk)})",
        record_sql=located.format((record + _quote(root._meta.db_table)).join(placed.rsplit(from_table, 1))),
        key_column=None,
        filters=list(collection.filter_by),
        measures=list(collection.measures),
        is_descending=order.descending,
        **_common(collection, columns_of(collection.partition_by, root)),
    )


def _common(read_model: type[ReadModel], root_routes: set[str]) -> dict[str, Any]:
    root = read_model.root
    dependencies = _dependencies(read_model)
    routes: dict[str, set[str]] = defaultdict(set, {root._meta.db_table: set(root_routes)})
    keys = {use.model._meta.db_table: _pk(use.model) for use in uses(read_model)}
    for dependency in dependencies:
        routes[dependency.table] |= {dependency.anchor, keys[dependency.table]}
    return {
        "name": read_model.__name__,
        "root_table": root._meta.db_table,
        "root_pk": _pk(root),
        "is_integer_pk": has_integer_key(root),
        "dependencies": dependencies,
        "routes": {table: sorted(columns) for table, columns in sorted(routes.items())},
        "keys": keys,
    }


# The rows of a read model, as one query


def _rows(read_model: type[ReadModel], **named: Any) -> QuerySet[Any, Any]:
    rows = _rows_of(read_model.root).filter(read_model.where or Q())
    body = _resolved(read_model.body, read_model.root)
    annotations = {"rm_pk": F("pk"), **named, "rm_body": _text(body)}
    found: QuerySet[Any, Any] = rows.annotate(**annotations).values_list(*annotations)
    return found


def _rows_of(root: type[Model]) -> QuerySet[Any, Any]:
    """All rows, without the order that the model asks for: it may join other tables."""
    return root._base_manager.order_by()


def _resolved(value: Any, model: type[Model]) -> Any:
    """One entry of a body, with nested bodies, lists and sums of related rows put in Django's own terms."""
    if isinstance(value, Mapping):
        return JSONText(**{name: _resolved(part, model) for name, part in value.items()})
    if isinstance(value, Many):
        return _many(value, model)
    if isinstance(value, ManySum):
        return _total(value, value.expression, model)
    if isinstance(value, ManyCount):
        return _total(value, Value(1), model)
    return value


def _many(many: Many, model: type[Model]) -> ArraySubquery:
    rows, far = _related(many, model)
    backwards = many.order_by.startswith("-")
    body = {name: _resolved(value, far) for name, value in many.body.items()}
    return ArraySubquery(rows.order_by(many.order_by, "-pk" if backwards else "pk").values_list(JSONText(**body)))


def _total(many: ManySum | ManyCount, expression: Any, model: type[Model]) -> Coalesce:
    rows, _ = _related(many, model)
    # A plain function in place of an aggregate keeps Django from grouping, so that there is always one row.
    total = Func(_named(expression), function="SUM", output_field=BigIntegerField())
    return Coalesce(Subquery(rows.order_by().values_list(total)), 0, output_field=BigIntegerField())


def _related(many: Many | ManySum | ManyCount, model: type[Model]) -> tuple[QuerySet[Any, Any], type[Model]]:
    hop = reverse_hop(model, many.relation)
    far_key = next(field for field in hop.far._meta.concrete_fields if field.column == hop.far_column)
    near_key = next(field for field in hop.near._meta.concrete_fields if field.column == hop.near_column)
    rows = hop.far._base_manager.filter(**{far_key.attname: OuterRef(near_key.attname)})
    return rows.filter(many.where or Q()), hop.far


def _contribution(measure: Sum | Count, root: type[Model]) -> Any:
    expression: Any = Value(1) if isinstance(measure, Count) else _resolved(_named(measure.expression), root)
    if measure.where is None:
        return expression
    return Case(When(measure.where, then=expression), default=0, output_field=BigIntegerField())


def _named(expression: Any) -> Any:
    return F(expression) if isinstance(expression, str) else expression


def _text(expression: Any) -> Cast:
    return Cast(expression, TextField())


# The way from a changed row to the roots it touches


def _dependencies(read_model: type[ReadModel]) -> list[Dependency]:
    def order(source: Source) -> list[tuple[str, str]]:
        return [(hop.far_column, hop.far._meta.db_table) for hop in source.path]

    return [
        Dependency(
            table=source.model._meta.db_table,
            columns=source.columns,
            anchor=_anchor(source.path, read_model.root),
            touched_sql=_touched_sql(source.path, read_model.root),
            updates_only=source.updates_only,
        )
        for source in sorted(sources(read_model), key=order)
    ]


def _anchor(path: Path, root: type[Model]) -> str:
    return path[-1].far_column if path else _pk(root)


def _touched_sql(path: Path, root: type[Model]) -> str | None:
    """From anchor values to root keys: joins from the root to the table next to the changed one."""
    if not path or (len(path) == 1 and path[0].is_reverse and path[0].near_column == _pk(root)):
        return None
    joins = [f"{_quote(root._meta.db_table)} t0"]
    for i, hop in enumerate(path[:-1]):
        on = f"t{i + 1}.{_quote(hop.far_column)} = t{i}.{_quote(hop.near_column)}"
        joins.append(f"JOIN {_quote(hop.far._meta.db_table)} t{i + 1} ON {on}")
    near, column = path[-1].near, path[-1].near_column
    found = f"t{len(path) - 1}.{_quote(column)} = ANY({_array(near, column)})"
    return f"SELECT DISTINCT t0.{_quote(_pk(root))}::text FROM {' '.join(joins)} WHERE {found}"


# SQL text


def _sql(rows: QuerySet[Any, Any]) -> str:
    """The query as text with its literals written in, `%` doubled so that parameters can be added around it."""
    sql, params = rows.query.get_compiler(using=connection.alias).as_sql()
    composed = connection.ops.compose_sql(sql, params)  # type: ignore[attr-defined]  # PostgreSQL's only
    return str(composed).replace("%", "%%")


def _select(root: type[Model], columns: str) -> str:
    pk = _pk(root)
    table = _quote(root._meta.db_table)
    return f"SELECT {columns} FROM {table} WHERE {_quote(pk)} = ANY({_array(root, pk)})"


def _array(model: type[Model], column: str) -> str:
    return f"%s::text[]::{_type(model, column)}[]"


def _type(model: type[Model], column: str) -> str:
    field = value_field(next(field for field in model._meta.concrete_fields if field.column == column))
    return str(field.cast_db_type(connection))


def _list(template: str, count: int, type_name: str) -> str:
    return f"ARRAY[{', '.join(template.format(i) for i in range(count))}]::{type_name}[]"


def _quote(name: str) -> str:
    return connection.ops.quote_name(name)


def _pk(model: type[Model]) -> str:
    return str(model._meta.pk.column)
