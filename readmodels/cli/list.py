"""`readmodels list`: what is declared."""

from collections.abc import Mapping
from typing import Any

from readmodels import models
from readmodels.cli.base import Action, Exit, Output
from readmodels.compiler import compile_plan
from readmodels.declare import declared
from readmodels.fingerprint import fingerprint
from readmodels.models import GenerationState
from readmodels.plan import Plan


class List(Action):
    """List the declared read models: their kind, root, the columns they depend on, and what is served.

    Use it to see which tables and columns a read model is made of, and which generation answers its queries now. A
    generation with another fingerprint than the declaration's was made of an earlier declaration.
    """

    name = "list"
    exits = {Exit.FINE: "the read models are listed"}
    examples = ("list", "list --json")

    def run(self, options: Mapping[str, Any], out: Output) -> Exit:
        """By name."""
        live = {row.read_model: row for row in models.Generation.objects.filter(state=GenerationState.LIVE)}
        plans = {name: compile_plan(read_model) for name, read_model in sorted(declared().items())}
        tables = {name: depends_on(plan) for name, plan in plans.items()}
        rows: list[dict[str, Any]] = [
            {
                "read_model": name,
                "kind": plan.kind,
                "root": plan.root_table,
                "depends_on": tables[name],
                "fingerprint": fingerprint(declared()[name]),
                "served_generation": live[name].number if name in live else None,
                "served_fingerprint": live[name].fingerprint if name in live else None,
            }
            for name, plan in plans.items()
        ]
        out.document({"read_models": rows})
        out.rows([{**row, "depends_on": as_lines(tables[row["read_model"]])} for row in rows])
        return Exit.FINE


def depends_on(plan: Plan) -> dict[str, list[str]]:
    """The columns that documents are made of, by table."""
    found: dict[str, set[str]] = {}
    for dependency in plan.dependencies:
        found.setdefault(dependency.table, set()).update(dependency.columns)
    return {table: sorted(columns) for table, columns in sorted(found.items())}


def as_lines(tables: Mapping[str, list[str]]) -> str:
    """One table a line."""
    return "\n".join(f"{table} ({', '.join(columns)})" for table, columns in tables.items())
