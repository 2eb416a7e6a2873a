"""Given, when, then: what is written goes in by a team's own functions, what queries would answer comes out."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from readmodels.conf import conf
from readmodels.declare import Collection, Document
from readmodels.query import Key, Page, Reader, facet_of
from readmodels.store import Store
from readmodels.testing.beginning import reset
from readmodels.testing.expected import require
from readmodels.testing.law import assert_law, drain

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def scenario(store: Store | None = None) -> Iterator["Scenario"]:
    """Nothing is written at first; where the block ends well, the law of all read models holds."""
    found = Scenario(store or Store())
    reset(found.store)
    yield found
    drain(found.store)
    assert_law(found.store)


class Scenario:
    """The steps of one test. What is expected need not name every field: what is named has to be so.

    Values are as in JSON: times are text, money is whole numbers.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def given(self, write: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function is called and what it committed is projected; returns what it returned."""
        result = write(*args, **kwargs)
        drain(self.store)
        return result

    def when(self, write: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same, for the step that the test is about."""
        return self.given(write, *args, **kwargs)

    def then(self, of: type[Document], key: Key, expected: Mapping[str, Any]) -> None:
        """The document has these fields."""
        require(f"{of.__name__} {key}", expected, self.document(of, key))

    def then_absent(self, of: type[Document], key: Key) -> None:
        """There is no document of this key."""
        require(f"{of.__name__} {key}", None, self.document(of, key))

    def then_page(
        self,
        of: type[Collection],
        partition: Key,
        rows: Sequence[Mapping[str, Any]] | None = None,
        measures: Mapping[str, int] | None = None,
        **filters: str,
    ) -> None:
        """The partition, by these filters, has exactly these rows in this order, and its measures are these."""
        name = " ".join([of.__name__, str(partition), *(f"{each}={value}" for each, value in filters.items())])
        if rows is not None:
            require(f"rows of {name}", list(rows), self.rows(of, partition, **filters))
        if measures is not None:
            require(f"measures of {name}", measures, self.measures(of, partition, **filters))

    def document(self, of: type[Document], key: Key) -> Any:
        """The document's body, None where there is none."""
        body = Reader(self.store).document(of, key).body
        return body and json.loads(body)

    def rows(self, of: type[Collection], partition: Key, **filters: str) -> list[Any]:
        """The bodies on the partition's first page, which is as long as a page may be."""
        return [json.loads(row) for row in self._page(of, partition, filters).rows]

    def measures(self, of: type[Collection], partition: Key, **filters: str) -> dict[str, int]:
        """The partition's measures by name, of what these filters select."""
        return self._page(of, partition, filters).measures.get(facet_of(of, filters), dict.fromkeys(of.measures, 0))

    def _page(self, of: type[Collection], partition: Key, filters: Mapping[str, str]) -> Page:
        return Reader(self.store).page(of, partition, filters, limit=conf().max_page_rows)
