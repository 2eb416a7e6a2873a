"""Read one order (1 KB) by its id over 32 connections.

Ours with authentication, permission, rate limit, ETag and problem answers; then a 304, a page and several at once.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from functools import partial

import httpx
from django.db import connection as database
from knox.models import AuthToken
from rest_framework_simplejwt.tokens import AccessToken

from bench import load, shop
from bench.ground import Ground
from bench.load import Load
from bench.result import Goal, Plot, Result, Table
from bench.rounds import Found, Measure, in_turn
from orders.models import Order
from orders.readmodels.order_detail import OrderDetail
from readmodels import connection
from readmodels.query import reader
from users.models import User

OURS = "ours"
MINIMAL, FLASK, DJANGO = (
    "minimal WSGI app on Redis, for anybody",
    "Flask on Redis, for anybody",
    "Django view on Redis, for anybody",
)
ORM, CACHE, CACHEOPS = "DRF on the ORM", "DRF on Django's Redis cache", "DRF on django-cacheops"
# What granian serves, by whose name in the report, and what stands before the order's id.
SERVED = {
    OURS: ("project.wsgi:application", "/api/orders/"),
    MINIMAL: ("bench.peers.minimal_wsgi:application", "/api/orders/"),
    FLASK: ("bench.peers.flask_app:application", "/api/orders/"),
    DJANGO: ("bench.peers.bare_django:application", "/api/orders/"),
    ORM: ("bench.peers.wsgi:application", "/orm/api/orders/"),
    CACHE: ("bench.peers.wsgi:application", "/cache/api/orders/"),
    CACHEOPS: ("bench.peers.wsgi:application", "/cacheops/api/orders/"),
}
SEVERAL = 50


def run(ground: Ground) -> Result:
    """One order each time; what is more than one order at a time is measured for ours alone."""
    shop.fill(orders=ground.scaled(60, 1_000), customers=1)
    user = User.objects.get()
    bearer = {"Authorization": f"Bearer {AuthToken.objects.create(user=user)[1]}"}
    shop.project()
    ids = list(Order.objects.order_by("pk").values_list("pk", flat=True))
    _give_to_peers(ids)
    database.close()
    with ExitStack() as stack:
        served = {target: stack.enter_context(ground.api(target.partition(":")[0], target)) for target in _targets()}

        def asked(name: str, paths: list[str], headers: Mapping[str, str], status: int = 200) -> Measure:
            url, process = served[SERVED[name][0]]
            answer = httpx.get(url + paths[0], headers=headers)
            if answer.status_code != status:
                raise load.WrongAnswers(f"{name} answers {answer.status_code}: {answer.text[:200]}")
            measure = partial(load.ask, Load(url, paths, headers), ground.scaled(1, 4), process)
            if not ground.is_smoke:
                measure()  # so that all is warm: pools, caches, the pages of memory
            return measure

        single = {
            name: asked(name, [f"{prefix}{each}" for each in ids], bearer if name == OURS else _header(name, user))
            for name, (_, prefix) in SERVED.items()
        }
        rounds = ground.scaled(1, 5)
        found = in_turn(single, rounds, ground.say)
        etag = httpx.get(f"{served[SERVED[OURS][0]][0]}/api/orders/{ids[0]}", headers=bearer).headers["ETag"]
        some = ",".join(str(each) for each in ids[:SEVERAL])
        page = f"/api/users/{user.pk}/orders?limit={SEVERAL}"
        other = {
            "one order": single[OURS],
            "one order, 304": asked(OURS, [f"/api/orders/{ids[0]}"], {**bearer, "If-None-Match": etag}, 304),
            f"{SEVERAL} orders by id": asked(OURS, [f"/api/orders?ids={some}"], bearer),
            f"a page of {SEVERAL}": asked(OURS, [page], bearer),
        }
        ways = in_turn(other, rounds, ground.say)
    return _result(found, ways)


def _targets() -> Iterator[str]:
    yield from dict.fromkeys(target for target, _ in SERVED.values())


def _header(name: str, user: User) -> dict[str, str]:
    """A stateless token for whom ask for one: cheaper than any that is looked up."""
    if name not in (ORM, CACHE, CACHEOPS):
        return {}
    token = AccessToken.for_user(user)
    token.set_exp(lifetime=timedelta(days=1))
    return {"Authorization": f"Bearer {token}"}


def _give_to_peers(ids: list[int]) -> None:
    """The very bytes that ours answers with are where the peers without a database look for them."""
    client = connection.read_models()
    for order_id in ids:
        client.set(f"bench:order:{order_id}", reader().document(OrderDetail, order_id).body or b"")


def _result(found: Found, ways: Found) -> Result:
    table = Table("One order by its id", found, against=MINIMAL, ratio_of="requests/s")
    more = Table("Ours, by what is asked for", ways, against="one order", ratio_of="requests/s")
    goals = [
        Goal("ours against the minimal WSGI app", table.ratio(OURS), at_least=1),
        Goal("ours against Flask", table.ratio(OURS, FLASK), at_least=2.5),
        Goal("ours against DRF on the ORM", table.ratio(OURS, ORM), at_least=25),
        Goal("ours against Django's cache", table.ratio(OURS, CACHE), at_least=6),
        Goal("a 304 against the whole order", more.ratio("one order, 304"), at_least=1),
        Goal(
            f"orders/s by {SEVERAL} ids against one by one", more.ratio(f"{SEVERAL} orders by id") * SEVERAL, at_least=1
        ),
    ]
    bars = {name: row["requests/s"].median for name, row in found.items()}
    return Result([table, more], goals, [Plot("read_by_id", "One order by its id", "requests/s", bars)])
