"""The API document against the API: whatever is sent, no 5xx, and each answer is one that the document promises.

What the document can't say, since it is a matter of facts or signatures, is put right in requests that are meant to be
valid: a consistency token and a cursor are the service's own.
"""

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis.specs.openapi.checks import positive_data_acceptance

from project.wsgi import application
from readmodels.testing import drain
from tests.api import access_of
from tests.faults.system import scaled
from tests.rows import add_line, add_order, add_product, add_user
from users.models import User

# 160 for each of 32 operations are 5,000; those that the generator always adds come on top.
EXAMPLES = scaled(5, 160)
# Not one that a path is likely to name.
ADMIN = 2**40
# Of what was in the form that the document describes, these say that the form is wrong.
FORM = {"invalid_input", "parse_error"}
# No body, text of spaces alone, and how two values stand to each other, which JSON Schema has no plain words for.
NOT_IN_SCHEMA = {"blank", "out_of_order", "too_many", "contradiction", "one_of", "unexpected", "empty"}
# RFC 6585 has a status of its own for a header that is missing.
CONFIG = {"checks": {"missing_required_header": {"expected-statuses": [400, 401, 403, 406, 415, 422, 428]}}}
# What goes with `ids` does not all go with `status`; the document names what goes with either.
EITHER = ("GET", "/api/orders")
SIGNED = {"headers": ("Consistency-Token",), "query": ("cursor",)}


@schemathesis.serializer("application/x-ndjson", "text/csv")
def as_text(ctx, value) -> bytes:
    return str(value).encode()


schema = schemathesis.openapi.from_wsgi("/api/schema", application, config=schemathesis.Config.from_dict(CONFIG))


@pytest.fixture
def shop(store):
    """Things with the ids and codes that generated requests are likely to name."""
    product = add_product(sku="A", stock=1000)
    for _ in range(3):
        add_line(add_order(add_user()), product)
    drain(store)
    return store


def signed_in(store) -> dict[str, str]:
    """A superuser's token, whatever the request before has ended."""
    names = {"email": "root@example.com", "name": "Root"}
    roles = {"is_staff": True, "is_superuser": True, "is_active": True}
    user, _ = User.objects.update_or_create(pk=ADMIN, defaults=names | roles)
    access = access_of(user)
    drain(store)
    return {"Authorization": f"Bearer {access}"}


def is_meant_to_be_valid(case) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive


def sign(case) -> None:
    """What can't be made up is left out; the generator knows no version of a row either."""
    for part, names in SIGNED.items():
        for name in names:
            (getattr(case, part) or {}).pop(name, None)
    if "If-Match" in (case.headers or {}):
        case.headers["If-Match"] = "*"


def form_is_accepted(ctx, response, case) -> None:
    """What is in the documented form is not refused for its form; for what it says, it may be."""
    if not is_meant_to_be_valid(case) or response.status_code != 400 or (case.method, case.operation.path) == EITHER:
        return
    problem = response.json()
    wrong = [field for field in problem.get("fields", []) if field["code"] not in NOT_IN_SCHEMA]
    assert problem["code"] not in FORM or not wrong, problem


@schema.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
)
def test_answers_are_as_documented(shop, case):
    if is_meant_to_be_valid(case):
        sign(case)
    checks = {"excluded_checks": [positive_data_acceptance], "additional_checks": [form_is_accepted]}
    case.call_and_validate(headers=signed_in(shop), **checks)
