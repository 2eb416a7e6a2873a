"""A wrong setting stops the start, and the refusal names it, its value and what is accepted."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from readmodels.conf import Conf, conf

URLS = {"REDIS_URL": "redis://localhost/0", "BROKER_URL": "redis://localhost/1"}


@pytest.fixture
def configured(settings) -> Iterator[Callable[..., Conf]]:
    """Reads the settings given, on top of those that must be there."""

    def read(**given: Any) -> Conf:
        settings.READMODELS = {**URLS, **given}
        conf.cache_clear()
        return conf()

    yield read
    conf.cache_clear()


def refusal(read: Callable[..., Conf], **given: Any) -> str:
    with pytest.raises(ImproperlyConfigured) as caught:
        read(**given)
    return str(caught.value)


def test_addresses_are_enough(configured):
    assert (configured().redis_url, configured().batch_rows) == ("redis://localhost/0", 1000)


def test_given_setting_counts(configured):
    assert configured(BATCH_ROWS=7).batch_rows == 7


def test_whole_number_of_seconds_is_a_number(configured):
    assert configured(MAX_WAIT_SECONDS=3).max_wait_seconds == 3


def test_unknown_setting_is_named(configured):
    assert "READMODELS['BATCH_ROW'] is unknown; accepted: ACKNOWLEDGED_HOURS, ATTEMPT_SECONDS" in refusal(
        configured, BATCH_ROW=5
    )


@pytest.mark.parametrize("value", [0, -1, "5", None, 1.5, float("inf")])
def test_wrong_whole_number_is_named(configured, value):
    assert refusal(configured, BATCH_ROWS=value) == (
        f"READMODELS['BATCH_ROWS']={value!r}; accepted: a whole number above 0"
    )


@pytest.mark.parametrize("value", [0.0, -0.5, "5", None, float("nan"), float("inf")])
def test_wrong_number_is_named(configured, value):
    assert refusal(configured, MAX_WAIT_SECONDS=value) == (
        f"READMODELS['MAX_WAIT_SECONDS']={value!r}; accepted: a number above 0"
    )


@pytest.mark.parametrize("name", URLS)
@pytest.mark.parametrize("value", ["", None])
def test_empty_address_is_named(configured, name, value):
    assert refusal(configured, **{name: value}) == f"READMODELS lacks {name}; accepted: a redis:// URL"


def test_missing_addresses_are_named(settings, configured):
    settings.READMODELS = {}
    conf.cache_clear()
    with pytest.raises(ImproperlyConfigured, match="READMODELS lacks REDIS_URL and BROKER_URL; accepted"):
        conf()


def test_tombstone_that_ends_before_an_attempt_is_refused(configured):
    assert refusal(configured, TOMBSTONE_SECONDS=60) == (
        "READMODELS['TOMBSTONE_SECONDS']=60; accepted: more than ATTEMPT_SECONDS, which is 60"
    )


def test_generation_dropped_before_readers_let_go_is_refused(configured):
    assert "more than POINTER_SECONDS" in refusal(configured, POINTER_SECONDS=4000)


def test_value_of_a_setting_is_read_once(configured):
    assert configured() is conf()


def test_more_hours_than_the_ring_holds_are_refused(configured):
    assert refusal(configured, ACKNOWLEDGED_HOURS=31) == "READMODELS['ACKNOWLEDGED_HOURS']=31; accepted: at most 30"
