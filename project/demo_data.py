"""The shop of the demo: users, products and orders of the last 90 days, the same for the same seed and moment.

Rows are inserted in bulk, in one transaction: a demo interrupted half way leaves nothing, and the next run starts anew.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Permission
from django.db import transaction

from orders.models import Product
from project import demo_names
from project.demo_accounts import DEMO_ACCOUNTS, DemoAccount
from project.demo_orders import BATCH_ROWS, DAYS, insert, orders_by_age
from users.models import User

# Hashing takes 50 ms on purpose: this one hash serves all users who are not demo accounts.
PASSWORD = "demo-user-password"  # noqa: S105

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Size:
    """How many of each; the demo accounts come on top."""

    users: int
    products: int
    orders: int

    @property
    def total(self) -> int:
        """All of them, for a progress bar."""
        return self.users + self.products + self.orders


@transaction.atomic
def create_demo_data(size: Size, seed: int, now: datetime, advance: Advance) -> bool:
    """The shop is there; where there were users before, nothing is done and False returned.

    `advance` is told how many rows were inserted since the last call.
    """
    if User.objects.exists():
        return False
    random = Random(seed)  # noqa: S311
    demo_customer = _create_accounts()["customer"]
    users = _create_users(size.users, random, now, advance)
    products = _create_products(size.products, random, advance)
    for orders in orders_by_age(size.orders, demo_customer, users, random, now):
        insert(orders, products, random)
        advance(len(orders))
    return True


def _create_accounts() -> dict[str, User]:
    accounts = {account.role: _account(account) for account in DEMO_ACCOUNTS}
    shown = Permission.objects.filter(content_type__app_label__in=["users", "orders"])
    accounts["staff"].user_permissions.set(shown.exclude(codename__startswith="delete"))
    return accounts


def _account(account: DemoAccount) -> User:
    return User.objects.create_user(
        account.email,
        account.password,
        name=f"Demo {account.role}",
        country="United Kingdom",
        is_staff=account.role in ("admin", "staff"),
        is_support=account.role == "staff",
        is_catalogue=account.role == "staff",
        is_superuser=account.role == "admin",
    )


def _create_users(count: int, random: Random, now: datetime, advance: Advance) -> list[User]:
    password = make_password(PASSWORD)
    countries, weights = list(demo_names.COUNTRIES), list(demo_names.COUNTRIES.values())
    users = User.objects.bulk_create(
        [
            User(
                email=f"user-{number}@example.com",
                name=f"{random.choice(demo_names.FIRST)} {random.choice(demo_names.LAST)}",
                country=random.choices(countries, weights)[0],
                password=password,
                is_active=random.random() > 0.02,
                created_at=now - timedelta(days=random.uniform(DAYS, 4 * DAYS)),
            )
            for number in range(1, count + 1)
        ],
        BATCH_ROWS,
    )
    advance(count)
    return users


def _create_products(count: int, random: Random, advance: Advance) -> list[Product]:
    products = Product.objects.bulk_create(
        [
            Product(
                sku=f"P-{number:05}",
                name=" ".join(map(random.choice, (demo_names.COLOURS, demo_names.MATERIALS, demo_names.THINGS))),
                price_cents=random.choice((95, 195, 295, 495, 795, 1295, 1995, 3495)),
                stock=random.choice((0, random.randint(1, 20), random.randint(20, 500), random.randint(20, 500))),
            )
            for number in range(1, count + 1)
        ],
        BATCH_ROWS,
    )
    advance(count)
    return products
