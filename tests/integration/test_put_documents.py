"""What a write of documents leaves: of each the newest, however many of a bucket come at once."""

from collections.abc import Iterable
from itertools import count, islice

from readmodels import keys
from readmodels.store import Store
from readmodels.values import DocumentWrite

NAME, NUMBER, BUCKET = "Tried", 1, 7
OF_THE_BUCKET = (key for key in map(str, count()) if keys.bucket_of(NAME, key) == BUCKET)
MANY = list(islice(OF_THE_BUCKET, 1_200))


def writes(of: Iterable[str], body: str | None) -> list[DocumentWrite]:
    return [DocumentWrite(NAME, NUMBER, key, body) for key in of]


def bodies(store: Store) -> list[bytes]:
    """What is stored of each without its header; a tombstone has no more than that."""
    _, stored = store.ask([("GET", keys.document(NAME, NUMBER, key)) for key in MANY])
    return [value.partition(b"\n")[2] for value in stored]


def test_of_many_in_one_bucket_each_has_its_newest(store, attempt_at):
    newer, gone, rest = MANY[:500], MANY[500:600], MANY[600:]
    store.apply(attempt_at(2), [*writes(newer, "two"), *writes(gone, None)])
    store.apply(attempt_at(1), writes(MANY, "one"))
    assert bodies(store) == [b"two"] * 500 + [b""] * 100 + [b"one"] * len(rest)
    store.apply(attempt_at(3), writes(MANY, "three"))
    assert bodies(store) == [b"three"] * len(MANY)
    store.apply(attempt_at(4), writes(MANY, None))
    assert bodies(store) == [b""] * len(MANY)
    lives = store.ask([("PTTL", keys.document(NAME, NUMBER, key)) for key in MANY])[1]
    assert min(lives) > 0
