"""Drift among real workers under load: what is planted is found and mended, exactly that, and nothing else is found."""

import json

from project import child
from readmodels import generations, keys, testing
from tests.cli import Answer, readmodels
from tests.faults.system import HEAL_SECONDS, System, scaled
from tests.faults.watcher import Watcher
from tests.faults.writers import Writers
from tests.rows import add_user

ROUNDS = scaled(10, 100)


def test_what_is_planted_under_load_is_found_exactly_and_mended(system: System, capsys):
    writing = system.add_customers(20)
    ids = [add_user().pk for _ in range(101)]
    assert system.is_settled_within(HEAL_SECONDS)
    with Writers(writing, seed=1) as writers, Watcher(writing) as watcher:
        for id in ids[:50]:
            corrupt(system, id)
        system.store._client.delete(*(key_of(id) for id in ids[50:100]))
        for id in range(1_000_000, 1_000_010):
            system.store._client.set(key_of(id), stored(system, ids[100]))
        writers.go_on(50)
        answer = readmodels(capsys, "verify", "UserProfile", "--repair", "--json")
        rounds = [found_in(readmodels(capsys, "verify", "--json")) for _ in range(ROUNDS)]
    assert found_in(answer) == {"stale": 50, "missing": 50, "orphan": 10}
    assert answer.data["read_models"][0]["mended"] == 110
    assert rounds == [{}] * ROUNDS
    assert not watcher.wrong
    assert child.wait_until(system.is_settled, HEAL_SECONDS)
    testing.assert_law(system.store)


def found_in(answer: Answer) -> dict[str, int]:
    """How many differed, by kind. What moved on at each look, so that nothing can be said of it, is not among them."""
    found = answer.data["read_models"]
    counts = {kind: sum(len(each[kind]) for each in found) for kind in ("stale", "missing", "orphan", "uneven")}
    return {kind: count for kind, count in counts.items() if count}


def key_of(user_id: int) -> str:
    return keys.document("UserProfile", generations.pointers()["UserProfile"], str(user_id))


def stored(system: System, user_id: int) -> bytes:
    found: bytes = system.store._client.get(key_of(user_id))
    return found


def corrupt(system: System, user_id: int) -> None:
    """Another name in the document, everything else as it was."""
    line, _, text = stored(system, user_id).partition(b"\n")
    system.store._client.set(key_of(user_id), line + b"\n" + json.dumps({**json.loads(text), "name": "Wrong"}).encode())
