"""What was expected against what was found, and how the difference is told."""

import json
from collections.abc import Iterator, Mapping
from typing import Any


def require(name: str, expected: Any, found: Any) -> None:
    """What is found has all that is expected, and lists exactly so many items; AssertionError shows both."""
    differing = list(_differences("", expected, found))
    if differing:
        lines = [f"{name} is not as expected:", *(f"  {each}" for each in differing)]
        raise AssertionError("\n".join([*lines, f"expected: {_text(expected)}", f"found: {_text(found)}"]))


def _differences(path: str, expected: Any, found: Any) -> Iterator[str]:
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for name in expected:
            if name in found:
                yield from _differences(f"{path}.{name}".lstrip("."), expected[name], found[name])
            else:
                yield f"{path}.{name}".lstrip(".") + ": is not there"
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            yield f"{path or 'all'}: expected {len(expected)}, found {len(found)}"
        for number, (one, other) in enumerate(zip(expected, found, strict=False)):
            yield from _differences(f"{path}[{number}]", one, other)
    elif expected != found:
        yield f"{path or 'all'}: expected {expected!r}, found {found!r}"


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=repr)
