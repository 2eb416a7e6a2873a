"""What is somebody else's is answered exactly like what does not exist: in body, headers and time, on every address."""

import pytest

from readmodels.testing import drain
from tests.api import client_of
from tests.pairs import assert_as_long
from tests.roles import MATRIX, OWNER_AND_SUPPORT
from tests.rows import add_line, add_order, add_product, add_user

# Of as many digits, so that answers that name them are as long.
FOREIGN, ABSENT = 700_001, 700_002
ADDRESSES = [
    *sorted(cell for cell, row in MATRIX.items() if row == OWNER_AND_SUPPORT),
    ("GET", "api/orders?ids=<int:order_id>"),
    ("GET", "api/orders?ids=<int:order_id>,1&fields=id"),
]


@pytest.fixture
def stranger(store):
    owner = add_user(id=FOREIGN)
    add_line(add_order(owner, id=FOREIGN), add_product())
    found = client_of(add_user())
    drain(store)
    return found


def ask(client, method, route, number):
    path = "/" + route.replace("<int:user_id>", str(number)).replace("<int:order_id>", str(number))
    body = None if method == "GET" else {}
    return getattr(client, method.lower())(path, body)


def told(response, number):
    """All that an answer shows, but for the number that was asked for, and the ETag of a body that names it."""
    headers = {name: value for name, value in response.headers.items() if name != "ETag"}
    return response.status_code, headers, response.content.replace(str(number).encode(), b"N")


@pytest.mark.parametrize(("method", "route"), ADDRESSES)
def test_foreign_and_absent_look_alike(stranger, method, route):
    foreign = ask(stranger, method, route, FOREIGN)
    assert foreign.status_code == 404 or foreign.json()["results"] == []
    assert told(foreign, FOREIGN) == told(ask(stranger, method, route, ABSENT), ABSENT)


@pytest.mark.parametrize(("method", "route"), ADDRESSES)
def test_foreign_and_absent_take_as_long(stranger, method, route):
    assert_as_long(lambda: ask(stranger, method, route, FOREIGN), lambda: ask(stranger, method, route, ABSENT))


def test_token_of_one_opens_no_cursor_of_another(store):
    ada, bob = add_user(), add_user()
    for owner in (ada, ada, bob, bob):
        add_order(owner)
    clients = {owner: client_of(owner) for owner in (ada, bob)}
    drain(store)
    cursor = clients[ada].get(f"/api/users/{ada.pk}/orders?limit=1").json()["next"]
    refused = clients[bob].get(f"/api/users/{bob.pk}/orders", {"limit": 1, "cursor": cursor})
    assert (refused.status_code, refused.json()["code"]) == (400, "wrong_cursor")
