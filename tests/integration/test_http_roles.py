"""Who may do what: each method of each address, for each role. A new route fails here until its row is written."""

import re
from dataclasses import dataclass

import pytest

from orders.batch.models import ImportJob
from readmodels.testing import drain
from tests.api import client_of
from tests.roles import MATRIX, ROLES
from tests.routes import api_routes
from tests.rows import add_line, add_order, add_product, add_user

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
STAFF = {"is_staff": True}
PEOPLE = {
    "stranger": {},
    "support": STAFF | {"is_support": True},
    "catalogue": STAFF | {"is_catalogue": True},
    "superuser": STAFF | {"is_superuser": True},
}
REFUSED = {401, 403, 404, 405}

# What must be asked for to be answered at all.
QUERY = {
    "api/orders": "?status=placed",
    "api/orders/export": "?format=csv",
    "api/sales": "?from=2026-03-01&to=2026-03-02",
}


@dataclass
class Asked:
    """What one role asks for: with its own client, an owner's things of its own, so that roles don't meet."""

    role: str
    path: str
    query: str
    client: object

    def status(self, method: str) -> int:
        path, body = (self.path + self.query, None) if method in ("GET", "HEAD") else (self.path, {})
        return getattr(self.client, method.lower())(path, body, headers={"Accept": "*/*"}).status_code


def asked(route: str) -> list[Asked]:
    return [_asked(role, route) for role in ROLES]


def _asked(role: str, route: str) -> Asked:
    owner = add_user()
    order, product = add_order(owner), add_product()
    add_line(order, product)
    job = ImportJob.objects.create(format="csv", bytes=1, lines=1)
    values = {"user_id": owner.pk, "order_id": order.pk, "sku": product.sku, "job_id": job.pk}
    path = "/" + re.sub(r"<\w+:(\w+)>", lambda found: str(values[found[1]]), route)
    person = {"anonymous": None, "owner": owner}[role] if role not in PEOPLE else add_user(**PEOPLE[role])
    return Asked(role, path, QUERY.get(route, ""), client_of(person))


def methods_of(view: type) -> set[str]:
    return {method for method in METHODS if hasattr(view, method.lower())}


def test_every_route_and_method_has_a_row():
    assert {(method, route) for route, view in api_routes().items() for method in methods_of(view)} == set(MATRIX)


@pytest.mark.parametrize(("method", "route"), sorted(MATRIX, key=lambda cell: (cell[1], cell[0])))
def test_each_role_may_what_its_row_says(store, method, route):
    cells = asked(route)
    drain(store)
    found = {cell.role: cell.status(method) for cell in cells}
    assert max(found.values()) < 500
    told = [str(found[role]) if found[role] in REFUSED else "ok" for role in ROLES]
    assert " ".join(told) == MATRIX[method, route], found


@pytest.mark.parametrize("route", sorted(api_routes()))
def test_methods_without_a_row_are_refused_and_the_others_named(store, route):
    cells = asked(route)
    drain(store)
    has = {method for method in METHODS if (method, route) in MATRIX}
    for cell in cells:
        for method in set(METHODS) - has:
            assert cell.status(method) in ({405, 401} if cell.role == "anonymous" else {405})
        told = cell.client.options(cell.path)
        assert has | {"OPTIONS"} <= set(told["Allow"].replace(" ", "").split(",")) <= has | {"OPTIONS", "HEAD"}
        if "GET" in has:
            assert cell.status("HEAD") == cell.status("GET")
