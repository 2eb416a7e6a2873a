"""The demo's data: a whole shop, made once, in a few seconds."""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.db.models import F, Max, Min, Sum
from django.utils import timezone

from orders.models import Order, OrderLine, Product
from orders.status import Status
from project.demo_accounts import DEMO_ACCOUNTS
from project.demo_data import Size, create_demo_data
from users.models import User

pytestmark = pytest.mark.django_db

SMALL = Size(users=20, products=30, orders=400)


@pytest.fixture(autouse=True)
def _is_demo(settings):
    settings.DEMO = True


def create(size: Size = SMALL, seed: int = 7, now: datetime = datetime(2026, 11, 1, tzinfo=UTC)) -> int:
    advances: list[int] = []
    assert create_demo_data(size, seed, now, advances.append)
    return sum(advances)


def content() -> list[tuple[object, ...]]:
    return list(
        OrderLine.objects.order_by("order__placed_at", "position").values_list(
            "order__status", "order__placed_at", "order__customer__email", "product__name", "quantity", "price_cents"
        )
    )


def test_demo_data_has_the_size_asked_for():
    assert create() == SMALL.total
    assert User.objects.count() == SMALL.users + len(DEMO_ACCOUNTS)
    assert (Product.objects.count(), Order.objects.count()) == (SMALL.products, SMALL.orders)


def test_same_seed_makes_the_same_shop():
    create()
    first = content()
    OrderLine.objects.all().delete()
    Order.objects.all().delete()
    User.objects.all().delete()
    Product.objects.all().delete()
    create()
    assert content() == first


def test_demo_accounts_sign_in():
    create()
    for role, email, password in DEMO_ACCOUNTS:
        user = authenticate(username=email, password=password)
        assert (user.is_superuser, user.is_staff) == (role == "admin", role != "customer")


def test_staff_may_see_and_change_but_not_delete():
    create()
    staff = User.objects.get(email="staff@example.com")
    assert staff.has_perms(["orders.view_order", "orders.change_order", "users.view_user"])
    assert not staff.has_perm("orders.delete_order")


def test_demo_customer_has_orders_over_all_the_days():
    create()
    orders = Order.objects.filter(customer__email="customer@example.com")
    span = orders.aggregate(first=Min("placed_at"), last=Max("placed_at"))
    assert orders.count() >= 12
    assert span["last"] - span["first"] > timedelta(days=60)


def test_orders_are_of_the_last_days_and_in_every_status():
    create(now=timezone.now())
    assert set(Order.objects.values_list("status", flat=True)) == set(Status.values)
    assert not Order.objects.filter(placed_at__gt=F("updated_at")).exists()
    assert not Order.objects.filter(updated_at__gt=timezone.now()).exists()
    assert Order.objects.earliest("placed_at").placed_at > timezone.now() - timedelta(days=91)


def test_totals_are_what_the_lines_add_up_to():
    create()
    summed = Order.objects.annotate(sum=Sum(F("lines__quantity") * F("lines__price_cents")))
    assert not summed.exclude(sum=F("total_cents")).exists()


def test_nothing_is_made_where_there_are_users():
    User.objects.create_user("ada@example.com", name="Ada")
    out = StringIO()
    call_command("create_demo_data", stdout=out)
    assert "users already" in out.getvalue()
    assert User.objects.count() == 1


def test_shop_without_users_sells_to_guests():
    create(Size(users=0, products=1, orders=5))
    assert Order.objects.count() == 5


@pytest.mark.parametrize("options", [{"users": -1}, {"products": 0}, {"orders": -1}])
def test_impossible_sizes_are_refused(options):
    with pytest.raises(CommandError):
        call_command("create_demo_data", **options)


def test_known_passwords_are_made_in_a_demo_only(settings):
    settings.DEMO = False
    with pytest.raises(CommandError, match="DEMO=1"):
        call_command("create_demo_data")
    assert not User.objects.exists()
