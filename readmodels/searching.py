"""Erasure, step 3: looks everywhere for what only one person could have, an e-mail address say: in every key and every
value of both Redis databases, and in every row of every table.

What to look for is kept in memory only. Nothing here changes anything.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from django.db import DatabaseError
from django.db import connection as database

from readmodels import connection
from readmodels.conf import conf
from readmodels.store import SCANNED, Store

# Called with a key and with what is there: whether anything that is looked for is in it.
LookedFor = Callable[[str, bytes], bool]
SOME = 500  # fields or members read of a key at a time


class Needles:
    """Texts to look for, in each form in which they may be written somewhere; upper and lower case are alike."""

    def __init__(self, texts: Iterable[str]) -> None:
        forms = {form.lower() for text in texts for form in _forms(text)}
        self._forms = [form.encode(errors="replace") for form in sorted(forms)]
        # As PostgreSQL takes them; what is kept as bytes is shown in hexadecimal digits.
        self.patterns = [f"%{_literal(form)}%" for form in sorted(forms)]
        self.patterns += [f"%{form.hex()}%" for form in self._forms]

    def __bool__(self) -> bool:
        return bool(self._forms)

    def are_in(self, value: bytes) -> bool:
        """Whether any of them is in the value."""
        lower = value.decode(errors="replace").lower().encode()
        return any(form in lower for form in self._forms)


@dataclass(frozen=True)
class Hit:
    """Where something was found: in a key's name (part None), or in a field, member or value of it."""

    key: str
    part: str | None
    is_name: bool = False


def in_redis(store: Store, is_looked_for: LookedFor, on_batch: Callable[[int], object]) -> Iterator[Hit]:
    """Each place of which `is_looked_for`, called with the key and with what is there, says so.

    Goes in small steps, so that nobody waits for it. A key that came after the look had begun may not be looked at.
    """
    scan, is_first = 0, True
    while scan or is_first:
        is_first = False
        following, names = store.ask([("SCAN", scan, "COUNT", SCANNED)])[1][0]
        scan = int(following)
        for name, parts in _parts(store, names):
            key = name.decode(errors="replace")
            if is_looked_for(key, name):
                yield Hit(key, None, is_name=True)
            for part, value in parts:
                if is_looked_for(key, part + b"\0" + value):
                    yield Hit(key, part.decode(errors="replace") or None)
        on_batch(len(names))


def broker() -> Store:
    """The other Redis: the broker's, which holds nothing of anybody."""
    return Store(connection.identified(conf().broker_url, conf().redis_timeout_seconds))


def in_postgresql(needles: Needles, on_table: Callable[[int], object]) -> tuple[dict[str, int], list[str]]:
    """(how many rows of each table hold any of them, tables that could not be looked at within a statement's time)."""
    found: dict[str, int] = {}
    unlooked: list[str] = []
    with database.cursor() as cursor:
        cursor.execute(TABLES)
        names = [name for [name] in cursor.fetchall()]
    for name in names:
        try:
            with database.cursor() as cursor:
                table = database.ops.quote_name(name)
                cursor.execute(f"SELECT count(*) FROM {table} t WHERE t::text ILIKE ANY(%s)", [needles.patterns])
                count = int(cursor.fetchone()[0])
        except DatabaseError:
            database.close()
            unlooked.append(name)
            continue
        if count:
            found[name] = count
        on_table(1)
    return found, unlooked


# Of partitions the whole is looked at.
TABLES = """
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname = ANY(current_schemas(false))
    ORDER BY c.relname"""


# What reads the first of a key, by its type; of most keys that is all there is, so it is asked for several at once.
FIRST: dict[str, Callable[[bytes], tuple[Any, ...]]] = {
    "string": lambda name: ("GET", name),
    "hash": lambda name: ("HSCAN", name, 0, "COUNT", SOME),
    "zset": lambda name: ("ZSCAN", name, 0, "COUNT", SOME),
    "set": lambda name: ("SSCAN", name, 0, "COUNT", SOME),
    "list": lambda name: ("LRANGE", name, 0, SOME - 1),
    "stream": lambda name: ("XRANGE", name, "-", "+", "COUNT", SOME),
}
Parts = Iterable[tuple[bytes, bytes]]


def _parts(store: Store, names: Sequence[bytes]) -> Iterator[tuple[bytes, Parts]]:
    """(key, its parts) of each: (field, member or nothing; value or nothing). What has gone meanwhile has none."""
    kinds = [kind.decode() for kind in store.ask([("TYPE", name) for name in names])[1]] if names else []
    known = [(name, kind) for name, kind in zip(names, kinds, strict=True) if kind in FIRST]
    firsts = store.ask([FIRST[kind](name) for name, kind in known])[1] if known else []
    for (name, kind), first in zip(known, firsts, strict=True):
        if kind == "string":
            yield name, [(b"", first)] if first is not None else []
        elif kind == "list":
            yield name, _listed(store, name, first)
        elif kind == "stream":
            yield name, _streamed(store, name, first)
        else:
            yield name, _scanned(store, name, kind, first)


def _scanned(store: Store, name: bytes, kind: str, first: Any) -> Iterator[tuple[bytes, bytes]]:
    command = FIRST[kind](name)[0]
    while True:
        following, flat = first
        if kind == "set":
            yield from ((member, b"") for member in flat)
        else:
            yield from zip(flat[::2], flat[1::2], strict=True)
        if not int(following):
            return
        first = store.ask([(command, name, int(following), "COUNT", SOME)])[1][0]


def _listed(store: Store, name: bytes, values: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    start = 0
    while values:
        yield from ((b"", value) for value in values)
        start += SOME
        [values] = store.ask([("LRANGE", name, start, start + SOME - 1)])[1]


def _streamed(store: Store, name: bytes, entries: Sequence[Any]) -> Iterator[tuple[bytes, bytes]]:
    while entries:
        yield from ((b"", b"\0".join(fields)) for _, fields in entries)
        [entries] = store.ask([("XRANGE", name, b"(" + entries[-1][0], "+", "COUNT", SOME)])[1]


def _forms(text: str) -> Sequence[str]:
    """The text as it is, in JSON, in an address or an index, and in PostgreSQL's way of writing a row."""
    plain, ascii_only = json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1]
    forms = [text, plain, ascii_only, quote(text, safe="")]
    return [*forms, *(form.replace("\\", "\\\\").replace('"', '""') for form in forms)]


def _literal(form: str) -> str:
    for special in ("\\", "%", "_"):
        form = form.replace(special, f"\\{special}")
    return form


def looked_for(everywhere: Needles, unserved: Needles, is_served: Callable[[str], bool]) -> LookedFor:
    """What says of a key and a value whether anything is in it: some texts anywhere, some only where nobody reads."""

    def says(key: str, value: bytes) -> bool:
        return everywhere.are_in(value) or (bool(unserved) and not is_served(key) and unserved.are_in(value))

    return says
