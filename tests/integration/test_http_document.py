"""The API document: what it shows of an operation can be used as it stands."""

import pytest

from tests.api import body, client_of, person
from tests.rows import add_product

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def document(store):
    return body(client_of(None).get("/api/schema"))


def test_every_operation_has_a_short_summary_of_its_own(document):
    operations = [of for path in document["paths"].values() for method, of in path.items() if method in METHODS]
    summaries = [operation["summary"] for operation in operations]
    assert len(set(summaries)) == len(summaries)
    assert all(0 < len(summary) < 40 for summary in summaries)


def test_summaries_are_words(document):
    paths = document["paths"]
    assert paths["/api/orders"]["post"]["summary"] == "Place order"
    assert paths["/api/orders"]["get"]["summary"] == "Orders by status"


def test_every_example_of_an_order_is_accepted(document):
    add_product(sku="P-00001", stock=100)
    staff = client_of(person("sam", is_staff=True))
    examples = document["paths"]["/api/orders"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert {staff.post("/api/orders", example["value"]).status_code for example in examples.values()} == {201}
