"""How a page is written as JSON: stored rows joined as they are, measures by facet in a form to be read."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from readmodels.declare import Collection
from readmodels.query import Page
from readmodels.selection import Selection


def page_body(page: Page, of: type[Collection], chosen: Selection | None = None) -> bytes:
    """`{"results": [...], "next": cursor or null, "measures": {"all": {...}, "by_status": {"paid": {...}}}}`."""
    rows = [chosen.of(row) for row in page.rows] if chosen else page.rows
    rest = json.dumps({"next": page.next_cursor, "measures": measures(page, of)})
    return b'{"results": [' + b", ".join(rows) + b"], " + rest[1:].encode()


def measures(page: Page, of: type[Collection]) -> dict[str, Any]:
    """The measures of all rows, and by the values of each single filter."""
    found: dict[str, Any] = {"all": page.measures.get("", {})}
    found |= {f"by_{name}": {} for name in of.filter_by}
    for facet, values in sorted(page.measures.items()):
        parts = parse_facet(facet)
        if len(parts) == 1:
            [(name, value)] = parts.items()
            found[f"by_{name}"]["null" if value is None else value] = values
    return found


def measure_rows(page: Page, of: type[Collection]) -> Iterator[dict[str, Any]]:
    """One row per combination of filter values that has anything, the values by their names beside the measures."""
    for facet, values in sorted(page.measures.items()):
        parts = parse_facet(facet)
        if len(parts) == len(of.filter_by) and any(values.values()):
            yield {**parts, **values}


def parse_facet(facet: str) -> dict[str, str | None]:
    """The filter values that a facet stands for; None: rows without one."""
    parts = (part.partition("=") for part in facet.split("&") if part)
    return {name: unquote(value) if equals else None for name, equals, value in parts}
