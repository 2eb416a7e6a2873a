"""The API document: what it shows of an operation can be used as it stands."""

import pytest

from tests.api import body, client_of, person
from tests.rows import add_product
from users.commands import register_user
from users.models import User

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
    assert paths["/api/orders"]["get"]["summary"] == "Orders"


def test_every_example_of_an_order_is_accepted(document):
    add_product(sku="P-00001", stock=100)
    staff = client_of(person("sam", is_staff=True))
    examples = document["paths"]["/api/orders"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert {staff.post("/api/orders", example["value"]).status_code for example in examples.values()} == {201}


def commands(document):
    """(path, method, operation) of all that writes."""
    for path, operations in document["paths"].items():
        yield from ((path, method, of) for method, of in operations.items() if method in METHODS - {"get"})


def headers(operation):
    return {each["name"]: each for each in operation["parameters"] if each["in"] == "header"}


def test_every_command_but_log_in_takes_an_idempotency_key(document):
    without = [path for path, _, of in commands(document) if "Idempotency-Key" not in headers(of)]
    assert without == ["/api/auth/login", "/api/users/{user_id}/erase"]
    for path, _, operation in commands(document):
        assert ("422" in operation["responses"]) == (path not in without)
        assert "409" in operation["responses"]


def test_version_is_demanded_where_others_may_be_at_it_too(document):
    demanding = {(path, method) for path, method, of in commands(document) if "428" in of["responses"]}
    assert demanding == {("/api/products/{sku}", "patch"), ("/api/users/{user_id}", "patch")}
    for path, method in demanding:
        asked = headers(document["paths"][path][method])["If-Match"]
        assert asked.get("required", False) == (path == "/api/products/{sku}")
        assert "412" in document["paths"][path][method]["responses"]


def test_every_problem_status_is_described(document):
    for status, response in document["components"]["responses"].items():
        assert response["description"]
        assert status.removeprefix("Problem").isdigit()
    assert set(document["components"]["responses"]) >= {"Problem409", "Problem412", "Problem422", "Problem428"}


def test_every_body_has_an_example_that_is_accepted(document):
    add_product(sku="P-00001", stock=100)
    password = "a-long-demo-password"
    bob = register_user(email="bob@example.com", name="Bob", password=password)
    staff = client_of(register_user(email="sam@example.com", name="Sam", password=password))
    User.objects.filter(name="Sam").update(is_staff=True, is_support=True, is_catalogue=True)
    for path, method, operation in commands(document):
        if "requestBody" not in operation or path == "/api/auth/login":
            continue
        content = operation["requestBody"]["content"]
        if "application/x-ndjson" in content:  # whose examples its own test sends
            continue
        for example in content["application/json"]["examples"].values():
            address = path.format(user_id=bob.pk, sku="P-00001")
            client = client_of(bob) if path.endswith("/erase") else staff
            answer = getattr(client, method)(address, example["value"], headers={"If-Match": "*"})
            assert answer.status_code < 300, (path, answer.content)
