"""The fingerprint of a declaration: a hash of its structure and expressions, found without a database."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from readmodels.declare import ReadModel
from readmodels.graph import uses
from readmodels.plan import FORMAT

ATTRIBUTES = ("key", "body", "where", "partition_by", "order_by", "filter_by", "measures")


def fingerprint(read_model: type[ReadModel]) -> str:
    """Sixteen hex digits that change when, and only when, the documents or their order may be others."""
    declaration = {name: _described(getattr(read_model, name, None)) for name in ATTRIBUTES}
    # A field may be moved to another column (db_column) under its name.
    declaration["columns"] = sorted({f"{use.model._meta.db_table}.{use.column}" for use in uses(read_model)})
    text = json.dumps([FORMAT, read_model.__name__, read_model.root._meta.db_table, declaration], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _described(value: Any) -> Any:
    """The value as JSON: expressions by their class and the arguments they were made with."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return [[name, _described(part)] for name, part in value.items()]
    if isinstance(value, set | frozenset):
        # In an order of its own: each process hashes text differently.
        return sorted((_described(part) for part in value), key=json.dumps)
    if isinstance(value, list | tuple):
        return [_described(part) for part in value]
    if is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, {field.name: _described(getattr(value, field.name)) for field in fields(value)}]
    if hasattr(value, "deconstruct"):
        path, args, kwargs = value.deconstruct()[-3:]
        return [path, _described(args), sorted((name, _described(part)) for name, part in kwargs.items())]
    return repr(value)
