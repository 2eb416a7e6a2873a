"""`fields=`: the chosen entries of a stored document or row, each with the bytes that are stored."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from rest_framework.exceptions import ValidationError

from readmodels.declare import Many, ReadModel

FIELDS = "fields"

# Entries by name, each with what is chosen inside of it; None: all of it.
Chosen = dict[str, "Chosen | None"]

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True)
class Selection:
    """The entries that were asked for."""

    names: frozenset[str]

    @property
    def mark(self) -> str:
        """Text that tells this selection from others."""
        return blake2b(",".join(sorted(self.names)).encode(), digest_size=6).hexdigest()

    def of(self, body: bytes) -> bytes:
        """What was asked for of a body, in the body's order."""
        return _chosen(body.decode(), self._tree()).encode()

    def _tree(self) -> Chosen:
        tree: Chosen = {}
        # The short ones last: who names `customer` and `customer.name` gets all of it.
        for name in sorted(self.names, key=lambda each: -each.count(".")):
            *outer, last = name.split(".")
            at = tree
            for part in outer:
                at = at.setdefault(part, {})  # type: ignore[assignment]  # what is above is set later, see above
            at[last] = None
        return tree


def parse(of: type[ReadModel], text: str | None) -> Selection | None:
    """The selection that the parameter `fields` names; None without one. Raises ValidationError."""
    if text is None:
        return None
    names, known = text.split(","), selectable(of.body)
    if wrong := [name for name in names if name not in known]:
        named = ", ".join(repr(name) for name in wrong[:5])
        raise ValidationError({FIELDS: [f"{named}: of {', '.join(known)} any are accepted, with commas between."]})
    return Selection(frozenset(names))


def selectable(body: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The names of a body's entries, nested ones dotted, as they are declared."""
    found = []
    for name, value in body.items():
        found.append(prefix + name)
        inner = value.body if isinstance(value, Many) else value
        if isinstance(inner, Mapping):
            found += selectable(inner, f"{prefix}{name}.")
    return found


def _chosen(raw: str, tree: Chosen | None) -> str:
    """Spaced as PostgreSQL does it: all entries chosen are the whole document."""
    if tree is None:
        return raw
    if raw.startswith("["):
        return f"[{','.join(_chosen(each, tree) for each in _elements(raw))}]"
    if raw.startswith("{"):
        kept = [(name, value) for name, value in _members(raw) if name in tree]
        return f"{{{', '.join(f'{json.dumps(name)} : {_chosen(value, tree[name])}' for name, value in kept)}}}"
    return raw


def _members(raw: str) -> Iterator[tuple[str, str]]:
    """The entries of a JSON object, the values as they are written: parsed and written anew, numbers may be others."""
    at = _after_space(raw, 1)
    while raw[at] != "}":
        name, at = _DECODER.raw_decode(raw, at)
        start = _after_space(raw, _after_space(raw, at) + 1)
        _, end = _DECODER.raw_decode(raw, start)
        yield name, raw[start:end]
        at = _after_comma(raw, end)


def _elements(raw: str) -> Iterator[str]:
    at = _after_space(raw, 1)
    while raw[at] != "]":
        _, end = _DECODER.raw_decode(raw, at)
        yield raw[at:end]
        at = _after_comma(raw, end)


def _after_comma(raw: str, at: int) -> int:
    at = _after_space(raw, at)
    return _after_space(raw, at + 1) if raw[at] == "," else at


def _after_space(raw: str, at: int) -> int:
    found = _SPACE.match(raw, at)
    return at if found is None else found.end()
