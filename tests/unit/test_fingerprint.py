"""The fingerprint changes when, and only when, the documents or their order may be others."""

import os
import subprocess
import sys

import pytest
from django.db import models
from django.db.models import F, Q
from django.test.utils import isolate_apps

from orders.models import Order, OrderLine
from readmodels import declare
from readmodels.declare import Collection, Count, Document, Many, Sum
from readmodels.fingerprint import fingerprint


@pytest.fixture(autouse=True)
def forgotten():
    yield
    declare.forget("Throwaway")


BODY = {"id": F("id"), "lines": Many("lines", {"n": F("quantity")}, order_by="position")}
USUAL = {
    "root": Order,
    "body": BODY,
    "partition_by": F("status"),
    "order_by": F("placed_at"),
    "filter_by": ("currency",),
    "measures": {"paid": Count(where=Q(status="paid")), "cents": Sum("total_cents")},
}


def of(kind=Collection, **changes) -> str:
    return fingerprint(type("Throwaway", (kind,), {**USUAL, **changes}))


CHANGES = {
    "column": {"body": {**BODY, "id": F("version")}},
    "order of the body": {"body": dict(reversed(BODY.items()))},
    "name in the body": {"body": {"key": F("id"), "lines": BODY["lines"]}},
    "list's order": {"body": {**BODY, "lines": Many("lines", {"n": F("quantity")}, order_by="-position")}},
    "list's condition": {
        "body": {**BODY, "lines": Many("lines", {"n": F("quantity")}, order_by="position", where=Q(quantity=1))}
    },
    "condition": {"where": Q(status="paid")},
    "partition": {"partition_by": F("currency")},
    "direction": {"order_by": F("placed_at").desc()},
    "filters": {"filter_by": ()},
    "measure": {"measures": {"paid": Count(where=Q(status="placed")), "cents": Sum("total_cents")}},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_change_is_another_fingerprint(changes):
    assert of(**changes) != of()


def test_key_of_a_document_counts():
    assert of(Document, key=F("external_ref")) != of(Document)


def test_root_counts():
    assert of(Document, root=Order, body={"id": F("id")}) != of(Document, root=OrderLine, body={"id": F("id")})


@isolate_apps("tests")
def test_column_that_a_field_is_kept_in_counts():
    def kept_in(column: str) -> str:
        declare.forget("Throwaway")
        meta = type("Meta", (), {"app_label": "tests", "db_table": "tests_kept"})
        attributes = {"__module__": __name__, "Meta": meta, "name": models.TextField(db_column=column)}
        root = type(f"Kept{column}", (models.Model,), attributes)
        return fingerprint(type("Throwaway", (Document,), {"root": root, "body": {"name": F("name")}}))

    assert kept_in("name") != kept_in("full_name")


def test_text_and_module_do_not_count():
    assert of(__doc__="Another docstring.", __module__=__name__) == of()


def test_expressions_are_compared_by_what_they_say():
    same = {"id": F("id"), "lines": Many("lines", {"n": F("quantity")}, order_by="position")}
    assert of(body=same) == of()


SCRIPT = """
import django; django.setup()
from django.db.models import F, Q
from orders.models import Order
from readmodels.declare import Document
from readmodels.fingerprint import fingerprint
class Throwaway(Document):
    root = Order
    body = {"id": F("id")}
    where = Q(status__in={"placed", "paid", "shipped", "delivered", "cancelled", "refunded"})
print(fingerprint(Throwaway))
"""


def test_every_process_finds_the_same():
    """Sets come in another order in each process, unless they are put in one."""
    found = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed, "DJANGO_SETTINGS_MODULE": "project.settings"},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(found) == 1
