"""What is wrong with input, message by message, as it is told over HTTP and in the report of an import."""

from collections.abc import Iterator
from typing import Any


def input_faults(detail: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """(field, code, message) of each in the detail of a validation error; a field of a list as `lines.0.sku`."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from input_faults(inner, path if name == "non_field_errors" else f"{path}.{name}".lstrip("."))
    elif isinstance(detail, list):
        for place, inner in enumerate(detail):
            yield from input_faults(inner, f"{path}.{place}".lstrip(".") if isinstance(inner, dict | list) else path)
    else:
        yield path, getattr(detail, "code", "invalid"), str(detail)
