"""(2) Which way round a file's dates are, read off all of them: 12/1/10 is 1 December or 12 January, 13/1/10 decides.

Dates that begin with the year are never in doubt. Times carry no zone and are taken as UTC; a year of two digits is
in this century.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from orders.importing.errors import ImportRefused, Reason, Rejected

_TIME = r"(?:[ T]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.\d+)?)?)?"
_YEAR_FIRST = re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})" + _TIME, re.ASCII)
_YEAR_LAST = re.compile(
    r"(?P<first>\d{1,2})(?P<separator>[/.-])(?P<second_part>\d{1,2})(?P=separator)(?P<year>\d{4}|\d{2})" + _TIME,
    re.ASCII,
)


class DateOrder(StrEnum):
    """Which of the two numbers before the year is the month."""

    AUTO = "auto"
    MONTH_FIRST = "month-first"
    DAY_FIRST = "day-first"


@dataclass
class Evidence:
    """What the dates seen so far say: for each order the first date that only it can read, with its line."""

    month_first: str = ""
    day_first: str = ""
    undecided: str = ""

    def see(self, text: str, number: int) -> None:
        """Take one date of the file into account; what is no date says nothing."""
        match = _YEAR_LAST.fullmatch(text.strip())
        if match is None:
            return
        first, second = int(match["first"]), int(match["second_part"])
        where = f"{text.strip()!r} in line {number}"
        if first > 12 >= second:
            self.day_first = self.day_first or where
        elif second > 12 >= first:
            self.month_first = self.month_first or where
        elif first <= 12 and second <= 12:
            self.undecided = self.undecided or where

    def decide(self, told: DateOrder) -> DateOrder:
        """Return the order that reads every date seen; raises ImportRefused where that is a guess or impossible."""
        if self.month_first and self.day_first:
            raise ImportRefused(f"its dates are month-first ({self.month_first}) and day-first ({self.day_first})")
        if told is DateOrder.MONTH_FIRST and self.day_first:
            raise ImportRefused(f"its dates are not month-first: {self.day_first}")
        if told is DateOrder.DAY_FIRST and self.month_first:
            raise ImportRefused(f"its dates are not day-first: {self.month_first}")
        if told is not DateOrder.AUTO:
            return told
        if self.undecided and not (self.month_first or self.day_first):
            raise ImportRefused(
                f"its dates can be read both ways ({self.undecided}); say --date-order month-first or day-first"
            )
        return DateOrder.DAY_FIRST if self.day_first else DateOrder.MONTH_FIRST


def read_date(text: str, order: DateOrder) -> datetime:
    """Return the time of a line; raises Rejected."""
    match = _YEAR_FIRST.fullmatch(text) or _YEAR_LAST.fullmatch(text)
    if match is None:
        raise Rejected(Reason.DATE)
    parts = match.groupdict()
    year = int(parts["year"]) + (2000 if len(parts["year"]) == 2 else 0)
    if "month" in parts:
        month, day = parts["month"], parts["day"]
    elif order is DateOrder.DAY_FIRST:
        day, month = parts["first"], parts["second_part"]
    else:
        month, day = parts["first"], parts["second_part"]
    try:
        hour, minute, second = (int(parts[name] or 0) for name in ("hour", "minute", "second"))
        return datetime(year, int(month), int(day), hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise Rejected(Reason.DATE) from error
