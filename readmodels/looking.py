"""What has changed of what is followed: one round trip for all of it, a few more for what is different now."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from readmodels.conf import conf
from readmodels.declare import Document
from readmodels.errors import NotProjected, StoreLost
from readmodels.query import Reader
from readmodels.store import Store
from readmodels.topics import DocumentState, Head, State, Topic, partition_state
from readmodels.waiting import progress_of

# Nobody else is answered meanwhile: 500 heads take Redis less than a millisecond.
AT_ONCE = 500
# These come with what is stored, and with the progress of their buckets, which is parsed.
FETCHED_AT_ONCE = 100

T = TypeVar("T")


def look(store: Store, reader: Reader, known: Mapping[Topic, State | None]) -> dict[Topic, State | None]:
    """The new state of each topic that has another head than the known state; None where it can't be said now.

    A topic that is not in the answer is as it was. Raises StoreUnavailable where nothing can be said of any.
    """
    found: dict[Topic, State | None] = {}
    for some in in_parts(list(known), AT_ONCE):
        heads, unsaid = _heads(store, reader, some)
        found |= dict.fromkeys(unsaid)
        different = {topic: head for topic, head in heads.items() if not _is_at(known[topic], head)}
        for part in in_parts(list(different), FETCHED_AT_ONCE):
            found |= _documents(reader, {topic: different[topic] for topic in part if _is_document(topic)})
            found |= _partitions(store, {topic: different[topic] for topic in part if not _is_document(topic)}, known)
    return found


def keep(store: Store, reader: Reader, topics: Sequence[Topic]) -> None:
    """Changes of these partitions are known for another while, whether or not there are any."""
    for some in in_parts([topic for topic in topics if not _is_document(topic)], AT_ONCE):
        store.follow([(topic.of.__name__, reader.generation(topic.of), topic.key, FAR) for topic in some])


# A position after any other: of what was changed since, there is nothing.
FAR = 10**17


def _heads(store: Store, reader: Reader, topics: Sequence[Topic]) -> tuple[dict[Topic, Head], list[Topic]]:
    """(head by topic, topics of read models that are not built)."""
    names: dict[Topic, tuple[str, int, str]] = {}
    unbuilt: list[Topic] = []
    for topic in topics:
        try:
            names[topic] = (topic.of.__name__, reader.generation(topic.of), topic.key)
        except NotProjected:
            unbuilt.append(topic)
    documents = [topic for topic in names if _is_document(topic)]
    partitions = [topic for topic in names if not _is_document(topic)]
    store_id, heads = store.heads([names[each] for each in documents], [names[each] for each in partitions])
    in_order = zip(documents + partitions, heads, strict=True)
    return {topic: (store_id, names[topic][1], head) for topic, head in in_order}, unbuilt


def _is_at(state: State | None, head: Head) -> bool:
    # Where a partition's changes are not known any more, it has no head, and every state of it has one.
    return state is not None and state.head == head


def _documents(reader: Reader, heads: Mapping[Topic, Head]) -> dict[Topic, State | None]:
    by_model: dict[type[Any], list[Topic]] = defaultdict(list)
    for topic in heads:
        by_model[topic.of].append(topic)
    found: dict[Topic, State | None] = dict.fromkeys(heads)
    for of, topics in by_model.items():
        answers = reader.sayable(of, [topic.key for topic in topics])
        for topic in topics:
            if answer := answers.get(topic.key):
                head = heads[topic]
                version = answer.version if answer.body else ""
                # What was read may be newer than the head; the next look then finds nothing new to send.
                found[topic] = DocumentState(head, head[1], version, answer.body)
    return found


def _partitions(
    store: Store, heads: Mapping[Topic, Head], known: Mapping[Topic, State | None]
) -> dict[Topic, State | None]:
    asked = [(topic.of.__name__, head[1], topic.key, _last(known[topic])) for topic, head in heads.items()]
    found: dict[Topic, State | None] = {}
    for (topic, head), recent in zip(heads.items(), store.follow(asked) if asked else [], strict=True):
        try:
            progress_of(recent.progress, topic.of.__name__)
        except StoreLost:
            found[topic] = None
            continue
        at = (head[0], head[1], str(recent.last).encode())
        found[topic] = partition_state(topic, at, recent, known[topic], conf().live_recent_rows)
    return found


def _last(state: State | None) -> int:
    return 0 if state is None or isinstance(state, DocumentState) else state.last


def _is_document(topic: Topic) -> bool:
    return issubclass(topic.of, Document)


def in_parts(things: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """The things in their order, some at a time."""
    for start in range(0, len(things), most):
        yield things[start : start + most]
