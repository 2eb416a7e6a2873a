"""All documents behind a collection that has a partition per day, day by day, a page at a time: never more than that in
memory, and no SQL.

A row whose day stays the same is neither missed nor doubled while others come and go. It is no snapshot: each document
is as it is when its page is read.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from readmodels.conf import conf
from readmodels.declare import Collection, Document
from readmodels.parameters import accepted_values
from readmodels.query import Page, Reader, days
from readmodels.waiting import Wish

# Days whose measures are asked for in one round trip: empty ones cost no page.
DAYS_AT_ONCE = 366


@dataclass(frozen=True)
class Walk:
    """What is walked: the documents of the rows of a collection by day, where a row's `key` names its document.

    `ends`: a collection of the same rows, in order of the moment that gives the day, whose partitions are the values of
    a column. Its outermost rows say which days there are; `moment` is the entry of a row that tells it.
    """

    documents: type[Document]
    by_day: type[Collection]
    key: str
    ends: type[Collection]
    moment: str

    def pages(self, reader: Reader, first: date | None, last: date | None, wish: Wish) -> Iterator[list[bytes]]:
        """The documents of the days from the first to the last, all days where none is named, a page at a time.

        Raises what the reader raises.
        """
        ends = list(self._ends(reader, wish))
        if not ends:
            return
        start, end = max(first or date.min, min(ends)), min(last or date.max, max(ends))
        for ordinal in range(start.toordinal(), end.toordinal() + 1, DAYS_AT_ONCE):
            until = min(end, date.fromordinal(min(ordinal + DAYS_AT_ONCE - 1, date.max.toordinal())))
            chunk = days(date.fromordinal(ordinal), until)
            for day, page in zip(chunk, reader.measures(self.by_day, chunk, **wish), strict=True):
                if any(page.measures[""].values()):
                    yield from self._of_day(reader, day, wish)

    def _of_day(self, reader: Reader, day: date, wish: Wish) -> Iterator[list[bytes]]:
        cursor, is_first = None, True
        while cursor or is_first:
            page = reader.page(self.by_day, day, cursor=cursor, limit=conf().max_page_rows, is_reversed=True, **wish)
            keys = [json.loads(row)[self.key] for row in page.rows]
            answers = reader.documents(self.documents, keys, **wish) if keys else []
            # One that is gone since its page was read is left out.
            yield [answer.body for answer in answers if answer.body is not None]
            cursor, is_first = page.next_cursor, False

    def _ends(self, reader: Reader, wish: Wish) -> Iterator[date]:
        # In the order that the values are declared in, which is the one that rows mostly move in: a row that moves
        # meanwhile is found where it was, or later where it went.
        for value in accepted_values(self.ends, "") or ():
            for is_reversed in (False, True):
                page: Page = reader.page(self.ends, value, limit=1, is_reversed=is_reversed, **wish)
                for row in page.rows:
                    yield datetime.fromisoformat(json.loads(row)[self.moment]).astimezone(UTC).date()
