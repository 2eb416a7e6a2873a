"""A declaration compiled to data: the SQL that builds it, what it depends on.

A plan is stored with its generation, so that code of any version builds any generation (bodies are expressions only).
What this code can't build, since newer code made it, it can still capture for: see outbox.py for who projects that.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

# Goes up when older code would build something else from a plan. What capture needs of one, `routes`, `keys` and table
# and columns of the dependencies, means the same in every format.
FORMAT = 1


@dataclass(frozen=True)
class Dependency:
    """Columns of one table that documents read by one path, and how a changed row leads to the roots it touches."""

    table: str
    columns: list[str]
    # The column of `table` whose values, before and after, are the way to the root.
    anchor: str
    # SQL from an array of anchor values to root keys; None where the anchor is the root's key itself.
    touched_sql: str | None
    # A row that an enforced foreign key points at can't come or go without the pointing row changing too.
    updates_only: bool


@dataclass(frozen=True)
class Plan:
    """Everything the engine needs to serve one read model. SQL has `%s` for parameters, literals are written in."""

    name: str
    kind: str  # document | collection
    root_table: str
    root_pk: str
    # rows of (key text, ...) for the documents of given keys, or for the rows of given root keys
    build_sql: str
    # root keys -> document keys, or (row id, partition) of a collection, whether or not `where` holds
    placed_sql: str
    # one outbox record (jsonb) -> partition; None for documents
    record_sql: str | None
    key_column: str | None
    filters: list[str]
    measures: list[str]
    is_descending: bool
    is_integer_pk: bool
    dependencies: list[Dependency]
    # routing columns per table: what capture keeps of a row before and after
    routes: dict[str, list[str]]
    keys: dict[str, str]
    format: int = FORMAT

    @property
    def is_newer(self) -> bool:
        """Whether only newer code can build from it."""
        return self.format > FORMAT

    def columns(self) -> dict[str, set[str]]:
        """Every column that capture or the SQL names, by table."""
        named = {table: set(columns) for table, columns in self.routes.items()}
        for dependency in self.dependencies:
            named.setdefault(dependency.table, set()).update(dependency.columns)
        return named

    def as_data(self) -> dict[str, Any]:
        """The plan as JSON takes it."""
        return asdict(self)


def from_data(data: Mapping[str, Any]) -> Plan:
    """The plan that `as_data` gave, of this code or of newer; what this code does not know of it is left out."""
    dependencies = [Dependency(**_known(Dependency, dependency)) for dependency in data["dependencies"]]
    return Plan(**{**_known(Plan, data), "dependencies": dependencies})


def _known(of: type[Plan | Dependency], data: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: data[field.name] for field in fields(of) if field.name in data}
