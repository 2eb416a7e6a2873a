"""`fields=` cuts stored JSON without writing any of it anew."""

import json

from django.db.models import F
from hypothesis import given
from hypothesis import strategies as st

from readmodels.declare import Many
from readmodels.selection import Selection, selectable

NAMES = ["a", "b", "c"]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
documents = st.fixed_dictionaries(dict.fromkeys(NAMES, values))


def chosen(raw: str, *names: str) -> str:
    return Selection(frozenset(names)).of(raw.encode()).decode()


@given(document=documents, names=st.sets(st.sampled_from(NAMES), min_size=1), indent=st.sampled_from([None, 1]))
def test_what_is_chosen_is_what_was_there(document, names, indent):
    raw = json.dumps(document, ensure_ascii=indent is None, indent=indent)
    assert json.loads(chosen(raw, *names)) == {name: document[name] for name in document if name in names}


def test_values_keep_their_bytes():
    raw = '{"a" : 1.10, "b" : 12345678901234567890.123456789, "c" : "\\u00e9 \\"}"}'
    assert chosen(raw, "a", "b", "c") == raw
    assert chosen(raw, "b") == '{"b" : 12345678901234567890.123456789}'


def test_inner_entries_are_chosen_in_objects_and_lists():
    raw = '{"a": {"x": 1, "y": {"z": 2, "w": 3}}, "b": [{"x": 4, "y": 5}, {"x": 6, "y": 7}], "c": null}'
    assert chosen(raw, "a.y.z", "b.x", "c.x") == '{"a" : {"y" : {"z" : 2}}, "b" : [{"x" : 4},{"x" : 6}], "c" : null}'


def test_names_are_those_of_the_declaration():
    body = {"a": F("id"), "b": {"x": F("id"), "y": {"z": F("id")}}, "c": Many("lines", {"x": F("id")})}
    assert selectable(body) == ["a", "b", "b.x", "b.y", "b.y.z", "c", "c.x"]


def test_mark_depends_on_the_choice_and_not_on_its_order():
    assert Selection(frozenset("ab")).mark == Selection(frozenset("ba")).mark != Selection(frozenset("a")).mark
