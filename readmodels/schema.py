"""The JSON schema of what a read model's queries answer, derived from its declaration; no database is asked.

JSON Schema 2020-12, as OpenAPI 3.1 takes it. An entry may be null where a column on its way may be.
"""

from collections.abc import Mapping
from typing import Any

from django.db.models import (
    BooleanField,
    Case,
    DateField,
    DateTimeField,
    DecimalField,
    EmailField,
    F,
    Field,
    FloatField,
    IntegerField,
    Model,
    UUIDField,
    Value,
)
from django.db.models.fields.reverse_related import ForeignObjectRel
from django.db.models.functions import Coalesce

from readmodels.declare import Collection, Many, ManyCount, ManySum, ReadModel
from readmodels.graph import reverse_hop
from readmodels.parameters import accepted_values

Schema = dict[str, Any]

# From the most to the least special: DateTimeField is a DateField, EmailField a CharField.
TYPES: list[tuple[type["Field[Any, Any]"], Schema]] = [
    (BooleanField, {"type": "boolean"}),
    (IntegerField, {"type": "integer", "format": "int64"}),
    (DecimalField, {"type": "number"}),
    (FloatField, {"type": "number"}),
    (DateTimeField, {"type": "string", "format": "date-time"}),
    (DateField, {"type": "string", "format": "date"}),
    (UUIDField, {"type": "string", "format": "uuid"}),
    (EmailField, {"type": "string", "format": "email"}),
]
COUNT: Schema = {"type": "integer", "format": "int64"}


def json_schema(read_model: type[ReadModel]) -> Schema:
    """The schema of one document, or of one row of a collection."""
    return {**_object(read_model.body, read_model.root), "description": (read_model.__doc__ or "").strip()}


def part_schema(schema: Schema) -> Schema:
    """The same with each entry left to the asker, as `fields` chooses them."""
    found = {name: value for name, value in schema.items() if name != "required"}
    if "items" in found:
        found["items"] = part_schema(found["items"])
    if "properties" in found:
        found["properties"] = {name: part_schema(value) for name, value in found["properties"].items()}
        found["additionalProperties"] = False
    return found


def several_schema(document: Schema, key: Schema) -> Schema:
    """The schema of several documents, `document` being that of one and `key` that of a document's key."""
    missing = {
        "type": "array",
        "items": key,
        "description": "What there is not, or not for you.",
    }
    return _all_required({"results": {"type": "array", "items": document}, "missing": missing})


def page_schema(of: type[Collection], row: Schema) -> Schema:
    """The schema of one page of a collection, `row` being the schema of a row."""
    return _all_required(
        {
            "results": {"type": "array", "items": row},
            "next": {"type": ["string", "null"], "description": "The cursor of the next page; null on the last one."},
            "measures": summary_schema(of),
        }
    )


def summary_schema(of: type[Collection]) -> Schema:
    """The schema of a partition's measures, of all rows and by filter value."""
    names = {"all": _measures(of)}
    for name in of.filter_by:
        keys = {"propertyNames": {"enum": values}} if (values := accepted_values(of, name)) else {}
        names[f"by_{name}"] = {"type": "object", "additionalProperties": _measures(of), **keys}
    return _all_required(names)


def daily_schema(of: type[Collection]) -> Schema:
    """The schema of a collection's measures, one row per day and filter value."""
    filters = {name: _value(F(name), of.root) for name in of.filter_by}
    row = _all_required({"day": {"type": "string", "format": "date"}, **filters, **_measures(of)["properties"]})
    return _all_required({"results": {"type": "array", "items": row}})


def _measures(of: type[Collection]) -> Schema:
    return _all_required(dict.fromkeys(of.measures, COUNT))


def _all_required(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def _object(body: Mapping[str, Any], model: type[Model]) -> Schema:
    return _all_required({name: _value(value, model) for name, value in body.items()})


def _value(value: Any, model: type[Model]) -> Schema:
    if isinstance(value, Mapping):
        return _object(value, model)
    if isinstance(value, Many):
        return {"type": "array", "items": _object(value.body, reverse_hop(model, value.relation).far)}
    if isinstance(value, ManySum | ManyCount):
        return dict(COUNT)
    schema = _column(_output_field(value, model))
    return _or_null(schema) if _is_nullable(value, model) else schema


def _output_field(expression: Any, model: type[Model]) -> Any:
    expression = F(expression) if isinstance(expression, str) else expression
    field: Any = model._base_manager.annotate(rm_value=expression).query.annotations["rm_value"].output_field
    while field.is_relation:
        field = field.target_field
    return field


def _column(field: Any) -> Schema:
    schema: Schema = next((dict(schema) for kind, schema in TYPES if isinstance(field, kind)), {"type": "string"})
    if field.choices:
        schema["enum"] = [value for value, _ in field.flatchoices]
    return schema


def _or_null(schema: Schema) -> Schema:
    nullable = {**schema, "type": [schema["type"], "null"]}
    return {**nullable, "enum": [*schema["enum"], None]} if "enum" in schema else nullable


def _is_nullable(expression: Any, model: type[Model]) -> bool:
    if isinstance(expression, str | F):
        return _is_path_nullable(str(getattr(expression, "name", expression)), model)
    if isinstance(expression, Value):
        return expression.value is None
    sources = [source for source in expression.get_source_expressions() if source is not None]
    if isinstance(expression, Case):
        sources = [*(case.result for case in expression.cases), expression.default]
    found = [_is_nullable(source, model) for source in sources]
    return all(found) if isinstance(expression, Coalesce) else any(found)


def _is_path_nullable(name: str, model: type[Model]) -> bool:
    """Whether a column on the way is nullable, or the row at the end of a one-to-one may be absent."""
    for part in name.split("__"):
        field: Any = model._meta.pk if part == "pk" else model._meta.get_field(part)
        if isinstance(field, ForeignObjectRel) or field.null:
            return True
        if not field.is_relation:
            return False
        model = field.related_model
    return False
