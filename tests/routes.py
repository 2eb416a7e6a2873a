"""The routes of the API, as the URLconf has them."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver


def routes(patterns: Sequence[Any] | None = None, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    """(address with its variables, pattern) of every route of the system."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, path)
        else:
            yield path, pattern


def api_routes() -> dict[str, Any]:
    """The class of the view that stands behind each address under /api."""
    found = {path: getattr(pattern.callback, "cls", None) for path, pattern in routes() if path.startswith("api")}
    return {path: view for path, view in found.items() if view is not None}
