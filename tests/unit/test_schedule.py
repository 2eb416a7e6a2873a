"""What is due each second comes once in each, and not all at the same moment."""

import pickle
from datetime import UTC, datetime, timedelta

from worker.schedule import SCHEDULE, EachSecond

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def ran(schedule: EachSecond, seconds: float, step: float = 0.01) -> list[float]:
    """When it was due, looked at every so often, as beat does."""
    last, found = BEGUN, []
    for number in range(round(seconds / step)):
        now = BEGUN + timedelta(seconds=number * step)
        schedule.nowfun = lambda now=now: now
        if schedule.is_due(last).is_due:
            last = now
            found.append(round(number * step, 2))
    return found


def test_each_is_due_once_a_second_at_its_moment():
    assert ran(EachSecond(0.4), 4) == [0.4, 1.4, 2.4, 3.4]
    assert ran(EachSecond(0.0), 4) == [1.0, 2.0, 3.0]


def test_late_run_makes_none_after_it_late():
    assert ran(EachSecond(0.4), 4, step=0.3) == [0.6, 1.5, 2.4, 3.6]


def test_pause_is_not_made_up_for():
    schedule = EachSecond(0.4)
    schedule.nowfun = lambda: BEGUN + timedelta(seconds=9)
    assert schedule.is_due(BEGUN).is_due
    assert not schedule.is_due(schedule.nowfun()).is_due


def test_beat_looks_again_at_the_next_moment():
    schedule = EachSecond(0.4)
    schedule.nowfun = lambda: BEGUN + timedelta(seconds=1.65)
    assert round(schedule.is_due(BEGUN).next, 2) == 0.75


def test_beats_file_keeps_the_moment():
    schedule = EachSecond(0.4)
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert schedule != EachSecond(0.7)


def test_no_two_are_due_at_once():
    moments = [entry["schedule"].at_seconds for entry in SCHEDULE.values()]
    assert len({*moments}) == len(moments)
