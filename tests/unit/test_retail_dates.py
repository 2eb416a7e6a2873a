"""Which way round a file's dates are, and what each of them says."""

from datetime import UTC, datetime

import pytest

from orders.importing.dates import DateOrder, Evidence, read_date
from orders.importing.errors import ImportRefused, Rejected

AUTO, MONTH_FIRST, DAY_FIRST = DateOrder.AUTO, DateOrder.MONTH_FIRST, DateOrder.DAY_FIRST


def decided(*dates: str, told: DateOrder = AUTO) -> DateOrder:
    evidence = Evidence()
    for number, date in enumerate(dates, start=2):
        evidence.see(date, number)
    return evidence.decide(told)


def test_one_day_above_twelve_decides_for_all():
    assert decided("12/1/10 8:26", "12/13/10 8:26") is MONTH_FIRST
    assert decided("01-12-2010 08:26", "13-12-2010 08:26") is DAY_FIRST


def test_dates_that_can_be_read_both_ways_are_refused():
    with pytest.raises(ImportRefused, match=r"'12/1/10 8:26' in line 2.*--date-order"):
        decided("12/1/10 8:26", "12/2/10 8:26")


@pytest.mark.parametrize("told", [MONTH_FIRST, DAY_FIRST])
def test_being_told_decides_where_the_dates_do_not(told):
    assert decided("12/1/10 8:26", told=told) is told


@pytest.mark.parametrize(("told", "date"), [(MONTH_FIRST, "13-12-2010 08:26"), (DAY_FIRST, "12/13/10 8:26")])
def test_being_told_wrong_is_refused(told, date):
    with pytest.raises(ImportRefused, match=f"not {told}.*line 2"):
        decided(date, told=told)


@pytest.mark.parametrize("told", list(DateOrder))
def test_dates_of_both_orders_in_one_file_are_refused(told):
    with pytest.raises(ImportRefused, match=r"line 2.*line 3"):
        decided("12/13/10 8:26", "13/12/10 8:26", told=told)


@pytest.mark.parametrize("dates", [[], ["2010-12-01 08:26:00", "2010-01-12 08:26:00"], ["13/13/10 8:26", "soon"]])
def test_dates_that_begin_with_the_year_or_are_none_leave_no_doubt(dates):
    decided(*dates)


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("2010-12-01 08:26:00", MONTH_FIRST),
        ("2010-12-01T08:26", DAY_FIRST),
        ("12/1/10 8:26", MONTH_FIRST),
        ("12/01/2010 08:26:00", MONTH_FIRST),
        ("01-12-2010 08:26", DAY_FIRST),
        ("1.12.2010 8:26", DAY_FIRST),
    ],
)
def test_dates_are_read_in_their_order(text, order):
    assert read_date(text, order) == datetime(2010, 12, 1, 8, 26, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2010-13-01 08:26", "2010-02-30", "12/1/10 25:00", "12/1-10 8:26", "0000-01-01", "١٢/١/١٠ 8:26"],
)
def test_what_is_no_date_is_rejected(text):
    with pytest.raises(Rejected):
        read_date(text, MONTH_FIRST)
