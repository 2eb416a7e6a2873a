"""Read one order (1 KB) by its id over 32 connections.

Ours with authentication, permission, rate limit, ETag and problem answers; then a 304, a page and several at once.
All who are compared are started at once and asked in short turns: a virtual machine has stretches of some seconds in
which all of it is a fifth slower. Then all are started anew, since where things lie in memory differs.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

import httpx
import psutil
from django.db import connection as database
from knox.models import AuthToken
from rest_framework_simplejwt.tokens import AccessToken

from bench import shop
from bench.ground import Ground
from bench.load import Load, WrongAnswers, ask
from bench.result import Goal, Plot, Result, Table
from bench.rounds import Found, Measure, in_turn, spreads, turns
from orders.models import Order
from orders.readmodels.order_detail import OrderDetail
from readmodels import connection
from readmodels.query import reader
from users.models import User

OURS, INSIDE, VIEWS = "ours", "ours, inside of Django", "ours, by REST framework"
SERVICE, SERVICE_INSIDE = "ours, the query service", "ours, the query service, inside of Django"
MINIMAL, WITH_HEADERS, FLASK, DJANGO = (
    "minimal WSGI app on Redis, for anybody",
    "minimal WSGI app with the headers of ours",
    "Flask on Redis, for anybody",
    "Django view on Redis, for anybody",
)
ORM, CACHE, CACHEOPS = "DRF on the ORM", "DRF on Django's Redis cache", "DRF on django-cacheops"
SEVERAL = 50
STARTS, NEAR_ROUNDS = 4, 15


@dataclass(frozen=True)
class Served:
    """What granian serves, what stands before the order's id, and how who asks is told."""

    target: str
    prefix: str = "/api/orders/"
    asker: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)


PROJECT = "project.wsgi:application"
QUERIES = {"DJANGO_SETTINGS_MODULE": "project.query_settings"}
SERVED = {
    OURS: Served(PROJECT, asker="knox"),
    SERVICE: Served(PROJECT, asker="knox", environ=QUERIES),
    INSIDE: Served(PROJECT, asker="knox", environ={"SHORTCUT": "django"}),
    SERVICE_INSIDE: Served(PROJECT, asker="knox", environ={"SHORTCUT": "django", **QUERIES}),
    VIEWS: Served(PROJECT, asker="knox", environ={"SHORTCUT": "off"}),
    MINIMAL: Served("bench.peers.minimal_wsgi:application"),
    FLASK: Served("bench.peers.flask_app:application"),
    DJANGO: Served("bench.peers.bare_django:application"),
    ORM: Served("bench.peers.wsgi:application", "/orm/api/orders/", "jwt"),
    CACHE: Served("bench.peers.wsgi:application", "/cache/api/orders/", "jwt"),
    CACHEOPS: Served("bench.peers.cacheops_wsgi:application", "/cacheops/api/orders/", "jwt"),
}


def run(ground: Ground) -> Result:
    """One order each time; what is more than one order at a time is measured for ours alone."""
    shop.fill(orders=ground.scaled(60, 1_000), customers=1)
    user = User.objects.get()
    askers = _askers(user)
    shop.project()
    ids = list(Order.objects.order_by("pk").values_list("pk", flat=True))
    _give_to_peers(ids)
    database.close()
    headers = {"HEADERS": _headers_of_ours(ground, ids[0], askers["knox"])}
    near = {
        **{name: SERVED[name] for name in (OURS, SERVICE, MINIMAL)},
        WITH_HEADERS: replace(SERVED[MINIMAL], environ=headers),
    }
    single = _compared(ground, SERVED, ids, askers, rounds=ground.scaled(1, 5))
    nearest = _compared(ground, near, ids, askers, rounds=ground.scaled(1, NEAR_ROUNDS))
    with ground.api("ways", SERVED[OURS].target) as (url, process):
        ways = {
            way: _asked(ground, Load(url, paths, {**askers["knox"], **headers}), process, status)
            for way, (paths, headers, status) in _ways(url, user, ids, askers["knox"]).items()
        }
        return _result(single, nearest, in_turn(ways, ground.scaled(1, 20), ground.say))


def _askers(user: User) -> dict[str, dict[str, str]]:
    """The header that says who asks, by kind; peers have a stateless token: cheaper than any that is looked up."""
    jwt = AccessToken.for_user(user)
    jwt.set_exp(lifetime=timedelta(days=1))
    tokens = {"knox": AuthToken.objects.create(user=user)[1], "jwt": jwt}
    return {"": {}, **{kind: {"Authorization": f"Bearer {token}"} for kind, token in tokens.items()}}


def _headers_of_ours(ground: Ground, order_id: int, bearer: Mapping[str, str]) -> str:
    """What ours answers beside the body and what says how long and of what kind that is, as JSON."""
    with ground.api("headers", SERVED[OURS].target) as (url, _):
        answer = httpx.get(f"{url}/api/orders/{order_id}", headers=bearer)
    theirs = {"content-type", "content-length", "date", "server"}
    return json.dumps([(name, value) for name, value in answer.headers.multi_items() if name not in theirs])


def _ways(
    url: str, user: User, ids: list[int], bearer: Mapping[str, str]
) -> dict[str, tuple[list[str], dict[str, str], int]]:
    """Paths, headers and status of what is asked of ours."""
    first = f"/api/orders/{ids[0]}"
    etag = httpx.get(url + first, headers=bearer).headers["ETag"]
    several = ",".join(str(each) for each in ids[:SEVERAL])
    return {
        "one order": ([f"/api/orders/{each}" for each in ids], {}, 200),
        "one order, 304": ([first], {"If-None-Match": etag}, 304),
        f"{SEVERAL} orders by id": ([f"/api/orders?ids={several}"], {}, 200),
        f"a page of {SEVERAL}": ([f"/api/users/{user.pk}/orders?limit={SEVERAL}"], {}, 200),
    }


def _compared(
    ground: Ground,
    served: Mapping[str, Served],
    ids: list[int],
    askers: Mapping[str, Mapping[str, str]],
    *,
    rounds: int,
) -> Found:
    """What they answer in so many rounds of short turns, each time that all are started."""
    found: dict[str, list[Mapping[str, float]]] = defaultdict(list)
    for _ in range(ground.scaled(1, STARTS)):
        with ExitStack() as started:
            measures = {}
            for number, (name, each) in enumerate(served.items()):
                url, process = started.enter_context(ground.api(f"asked-{number}", each.target, **each.environ))
                load = Load(url, [f"{each.prefix}{order_id}" for order_id in ids], askers[each.asker])
                measures[name] = _asked(ground, load, process)
            for name, measured in turns(measures, rounds, ground.say).items():
                found[name] += measured
    return spreads(found)


def _asked(ground: Ground, load: Load, process: psutil.Process, status: int = 200) -> Measure:
    """Asks for a short turn; the first answer is looked at, since the load itself tells only errors."""
    answer = httpx.get(load.url + load.paths[0], headers=load.headers)
    if answer.status_code != status:
        raise WrongAnswers(f"{load.paths[0]} is answered {answer.status_code}: {answer.text[:200]}")
    if not ground.is_smoke:
        ask(load, 2, process)  # so that all is warm: pools, tokens that were met, the pages of memory
    return partial(ask, load, 1, process)


def _give_to_peers(ids: list[int]) -> None:
    """The very bytes that ours answers with are where the peers without a database look for them."""
    client = connection.read_models()
    for order_id in ids:
        client.set(f"bench:order:{order_id}", reader().document(OrderDetail, order_id).body or b"")


def _result(found: Found, nearest: Found, ways: Found) -> Result:
    table = Table("One order by its id", found, against=MINIMAL, ratio_of="requests/s")
    caption = f"Those that are near each other, in {STARTS * NEAR_ROUNDS} rounds more"
    near = Table(caption, nearest, against=MINIMAL, ratio_of="requests/s")
    more = Table("Ours, by what is asked for", ways, against="one order", ratio_of="requests/s")
    goals = [
        Goal("ours against the minimal WSGI app", near.ratio(OURS), at_least=1),
        Goal("ours, the query service, against the minimal WSGI app", near.ratio(SERVICE), at_least=1),
        Goal("ours against Flask", table.ratio(OURS, FLASK), at_least=2.5),
        Goal("ours inside of Django against Flask", table.ratio(INSIDE, FLASK), at_least=1),
        Goal("ours against DRF on the ORM", table.ratio(OURS, ORM), at_least=25),
        Goal("ours against Django's cache", table.ratio(OURS, CACHE), at_least=6),
        Goal("a 304 against the whole order", more.ratio("one order, 304"), at_least=1),
        Goal(
            f"orders/s by {SEVERAL} ids against one by one", more.ratio(f"{SEVERAL} orders by id") * SEVERAL, at_least=1
        ),
    ]
    bars = {name: row["requests/s"].median for name, row in found.items()}
    return Result([table, near, more], goals, [Plot("read_by_id", "One order by its id", "requests/s", bars)])
