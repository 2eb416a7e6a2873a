"""How a row's place in its partition is written: text whose byte order is the declared order.

Redis keeps a partition's index as members of equal score, `facet NUL position`; a page is a range of that, so a deep
page costs what the first one costs, and a cursor stays where it was while rows come and go.
"""

from typing import Any

from django.db.models import CharField, DateField, DateTimeField, Field, IntegerField, Model, TextField, UUIDField

from readmodels.errors import WrongDeclaration

SEPARATOR = "\x01"  # between the value ordered by and the row id; lower than any character in text
INTEGER_WIDTH = 19


def value_field(field: Any) -> Any:
    """The field that a foreign key takes its values from, or the field itself."""
    while field.is_relation:
        field = field.target_field
    return field


def has_integer_key(root: type[Model]) -> bool:
    """Whether the primary key is an integer."""
    return isinstance(value_field(root._meta.pk), IntegerField)


def row_id_sql(pk: str, root: type[Model]) -> str:
    """SQL for a row's id in its partition: the primary key, integers padded so that ties order as numbers do."""
    if has_integer_key(root):
        return f"lpad({pk}::text, {INTEGER_WIDTH}, '0')"
    return f"{pk}::text"


def row_key(row_id: str, *, is_integer: bool) -> str:
    """The primary key's text of a row id."""
    return row_id.lstrip("0") or "0" if is_integer else row_id


def position_sql(value: str, field: "Field[Any, Any]") -> str:
    """SQL for the sortable text of a value; NULL comes first. Raises WrongDeclaration for a type that has none."""
    field = value_field(field)
    if isinstance(field, DateTimeField):
        text = f"to_char({value} AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS')"
    elif isinstance(field, DateField):
        text = f"to_char({value}, 'YYYYMMDD')"
    elif isinstance(field, IntegerField):
        text = f"lpad(({value}::numeric + 9223372036854775808)::text, 20, '0')"
    elif isinstance(field, CharField | TextField | UUIDField):
        text = f"{value}::text"
    else:
        raise WrongDeclaration(f"order_by of type {type(field).__name__}: order by a time, date, integer or text")
    return f"COALESCE({text}, '')"
