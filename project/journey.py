"""What a client does in the demo: everything over the HTTP API, each answer checked.

Only what a client can see is used: commands answer with a consistency token, and a query that carries it includes that
write.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from project.demo_accounts import DEMO_ACCOUNTS

SKU = "DEMO-MUG"
CUSTOMER = {"email": "ada@example.com", "name": "Ada Byron", "password": "a-long-demo-password", "country": "UK"}
NEW_NAME = "Ada King, Countess of Lovelace"
ORDERS = 100  # enough for a p99
WAIT = "wait=10"


class JourneyFailed(Exception):
    """The API did not answer as promised; the text says what was asked, expected and found."""


@dataclass
class Journey:
    """What was done, and how long the written took to be visible (seconds, as the client sees it)."""

    writes: int = 0
    visible_seconds: list[float] = field(default_factory=list)

    def percentile_ms(self, share: float) -> float:
        """The time within which this share of the writes was visible."""
        ordered = sorted(self.visible_seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


class Client:
    """One person at the API."""

    def __init__(self, base_url: str, journey: Journey) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=30)
        self._journey = journey

    def close(self) -> None:
        """The connection is closed."""
        self._http.close()

    def log_in(self, email: str, password: str) -> None:
        """All that follows is asked in this person's name."""
        token = self.command("POST", "/api/auth/login", {"email": email, "password": password}).json()["token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def command(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """The answer to a command; counts as a write."""
        self._journey.writes += 1
        return self._checked(self._http.request(method, path, json=body or {}))

    def read(self, path: str, after: httpx.Response) -> Any:
        """What a query answers that carries the token of an earlier command's answer."""
        headers = {"Consistency-Token": after.headers["Consistency-Token"], "Prefer": WAIT}
        return self._checked(self._http.get(path, headers=headers)).json()

    def _checked(self, response: httpx.Response) -> httpx.Response:
        if response.is_error:
            request = response.request
            raise JourneyFailed(f"{request.method} {request.url.path}: {response.status_code} {response.text}")
        return response


def travel(base_url: str, say: Callable[[str], None]) -> Journey:
    """Every step of the demo done; raises JourneyFailed where an answer is not what was promised."""
    journey = Journey()
    staff, customer = Client(base_url, journey), Client(base_url, journey)
    try:
        for step in _steps(journey, staff, customer):
            say(f"  {step}")
    except httpx.HTTPError as error:
        raise JourneyFailed(f"the API did not answer: {error!r}") from error
    finally:
        staff.close()
        customer.close()
    return journey


def _steps(journey: Journey, staff: Client, customer: Client) -> Iterator[str]:
    account = next(account for account in DEMO_ACCOUNTS if account.role == "staff")
    staff.log_in(account.email, account.password)
    staff.command("POST", "/api/products", {"sku": SKU, "name": "Mug", "price_cents": 1250, "stock": 10 * ORDERS})
    yield "staff logged in and put a mug on the shelf"
    user = customer.command("POST", "/api/users", CUSTOMER).json()["id"]
    customer.log_in(CUSTOMER["email"], CUSTOMER["password"])
    yield f"user {user} registered and logged in"
    orders = [_order(journey, customer) for _ in range(ORDERS)]
    yield f"{ORDERS} orders placed, each read back at once with its consistency token"
    paid = _pay(journey, customer, orders[0])
    yield f"order {orders[0]} paid, and read back as paid"
    _list(customer, user, orders, paid)
    yield "the customer's list counts 1 paid and the others placed, newest first"
    _rename(customer, user, orders)
    yield f"the customer renamed; all {ORDERS} order documents say {NEW_NAME!r}"


def _order(journey: Journey, customer: Client) -> int:
    placed = customer.command("POST", "/api/orders", {"lines": [{"sku": SKU, "quantity": 2}]})
    order = _timed(journey, lambda: customer.read(placed.headers["Location"], placed))
    _expect("total of a new order", order["total_cents"], 2500)
    return int(order["id"])


def _pay(journey: Journey, customer: Client, order: int) -> httpx.Response:
    paid = customer.command("POST", f"/api/orders/{order}/pay")
    _expect("status once paid", _timed(journey, lambda: customer.read(f"/api/orders/{order}", paid))["status"], "paid")
    return paid


def _list(customer: Client, user: int, orders: list[int], paid: httpx.Response) -> None:
    listed = customer.read(f"/api/users/{user}/orders?limit=100", paid)
    _expect("orders listed", [row["id"] for row in listed["results"]], orders[::-1])
    counts = {status: found["orders"] for status, found in listed["measures"]["by_status"].items()}
    _expect(
        "orders counted", {name: count for name, count in counts.items() if count}, {"paid": 1, "placed": ORDERS - 1}
    )


def _rename(customer: Client, user: int, orders: list[int]) -> None:
    renamed = customer.command("PATCH", f"/api/users/{user}", {"name": NEW_NAME})
    names = {customer.read(f"/api/orders/{order}", renamed)["customer"]["name"] for order in orders}
    _expect("name on every order", names, {NEW_NAME})


def _timed(journey: Journey, read: Callable[[], Any]) -> Any:
    started = time.perf_counter()
    found = read()
    journey.visible_seconds.append(time.perf_counter() - started)
    return found


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise JourneyFailed(f"{what}: {found!r} in place of {expected!r}")
