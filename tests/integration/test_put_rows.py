"""What a write of rows leaves of a partition: its index and measures are exactly what its rows say, however many rows
come at once, whatever their shares, in whichever order versions arrive.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readmodels import connection, keys
from readmodels.errors import WriteRefused
from readmodels.store import Store
from readmodels.values import RowWrite, as_row

NAME, NUMBER, PARTITION = "Tried", 1, "p"
AT = keys.partition(NAME, NUMBER, PARTITION)
LARGEST = 999_999_999_999_999  # fifteen digits
SHARES = (0, 1, -1, 7, LARGEST, -99_999_999_999_999)

row = st.one_of(
    st.none(),
    st.tuples(
        st.sampled_from("abc"),
        st.sets(st.sampled_from("xyz")),
        st.dictionaries(st.sampled_from("mn"), st.sampled_from(SHARES)),
    ),
)
writes = st.lists(st.tuples(st.integers(1, 9), st.dictionaries(st.integers(1, 4), row, min_size=1)), max_size=12)


@pytest.fixture(autouse=True)
def nothing_left(store) -> Iterator[None]:
    yield
    store.ask([("DEL", AT.rows, AT.index, AT.measures, AT.tombstones, AT.recent)])


def row_write(key: int, body: str | None = None, members: Sequence[str] = (), **shares: int) -> RowWrite:
    kept = tuple((name, share) for name, share in sorted(shares.items()) if share)
    return RowWrite(NAME, NUMBER, PARTITION, str(key), body, tuple(f"{member}\0{key}" for member in members), kept)


def stored_rows(store: Store) -> dict[str, RowWrite]:
    [flat] = store.ask([("HGETALL", AT.rows)])[1]
    found = {key.decode(): value for key, value in zip(flat[::2], flat[1::2], strict=True)}
    return {key: as_row(RowWrite(NAME, NUMBER, PARTITION, key), value) for key, value in found.items()}


def measures(store: Store) -> dict[str, int]:
    [flat] = store.ask([("HGETALL", AT.measures)])[1]
    return {name.decode(): int(total) for name, total in zip(flat[::2], flat[1::2], strict=True)}


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes)
def test_any_sequence_of_writes_leaves_what_the_newest_rows_say(store, attempt_at, written):
    store.ask([("DEL", AT.rows, AT.index, AT.measures, AT.tombstones, AT.recent)])
    newest: dict[str, tuple[int, RowWrite]] = {}
    for version, changed in written:
        rows = [
            row_write(key) if made is None else row_write(key, made[0], sorted(made[1]), **made[2])
            for key, made in changed.items()
        ]
        store.apply(attempt_at(version), rows)
        for each in rows:
            if each.row_id not in newest or newest[each.row_id][0] < version:
                newest[each.row_id] = (version, each)
    expected = {key: each for key, (_, each) in newest.items()}
    totals = Counter[str]()
    for each in expected.values():
        totals.update(dict(each.shares))
    [index, buried] = store.ask([("ZRANGE", AT.index, 0, -1), ("ZRANGE", AT.tombstones, 0, -1)])[1]
    assert stored_rows(store) == expected
    assert sorted(member.decode() for member in index) == sorted(m for each in expected.values() for m in each.members)
    assert measures(store) == {name: total for name, total in totals.items() if total}
    assert {key.decode() for key in buried} == {key for key, each in expected.items() if each.body is None}


def test_rows_by_the_thousand_come_in_steps_that_hold_redis_up_for_a_moment_each(store, attempt_at):
    def steps():
        return connection.read_models().info("commandstats").get("cmdstat_evalsha", {}).get("calls", 0)

    before, share = steps(), LARGEST // 10
    rows = [row_write(key, "{}", ["", "odd"], count=1, sum=share) for key in range(2_500)]
    store.apply(attempt_at(1), rows)
    assert steps() - before >= 2_500 // 500
    assert measures(store) == {"count": 2_500, "sum": 2_500 * share}
    assert store.ask([("ZCARD", AT.index), ("HLEN", AT.rows)])[1] == [5_000, 2_500]
    store.apply(attempt_at(2), [row_write(key) for key in range(2_500)])
    assert measures(store) == {}
    assert store.ask([("ZCARD", AT.index), ("ZCARD", AT.tombstones)])[1] == [0, 2_500]


def test_row_that_nobody_here_wrote_is_refused(store, attempt_at):
    store.ask([("HSET", AT.rows, "1", "000007garbage{}")])
    with pytest.raises(WriteRefused, match="UNREADABLE row 1"):
        store.apply(attempt_at(1), [row_write(1, "{}", count=1)])
    assert measures(store) == {}
