"""`readmodels touched` foretells what a change touches, whatever changes, wherever."""

import json
from collections import Counter
from datetime import timedelta
from io import StringIO

from django.core.management import call_command
from django.db.models import F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders.models import Order, OrderLine, Product
from readmodels import outbox, projector, testing
from readmodels.values import DocumentWrite
from tests.rows import add_line, add_order, add_product, add_user
from users.models import User

# Each gives another value than before. A foreign key's new value can't be foretold, so none is among them.
CHANGES = {
    (User, "name"): lambda n: f"Name {n}",
    (User, "country"): lambda n: f"Country {n}",
    (User, "password"): lambda n: f"!{n}",
    (Order, "total_cents"): lambda n: 1_000_000 + n,
    (Order, "placed_at"): lambda n: F("placed_at") + timedelta(days=1 + n % 3),
    (Order, "currency"): lambda n: "".join(chr(65 + n // 26**place % 26) for place in range(3)),
    (OrderLine, "quantity"): lambda n: 1_000 + n,
    (OrderLine, "price_cents"): lambda n: 1_000_000 + n,
    (Product, "name"): lambda n: f"Product {n}",
    (Product, "price_cents"): lambda n: 1_000_000 + n,
    (Product, "stock"): lambda n: 1_000_000 + n,
}

chosen = st.lists(st.tuples(st.sampled_from(list(CHANGES)), st.integers(0, 99)), min_size=1, max_size=30)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=chosen, shape=st.lists(st.integers(0, 5), min_size=2, max_size=4))
def test_what_is_foretold_is_touched(store, changes, shape):
    testing.reset(store)
    furnish(shape)
    testing.drain(store)
    for number, ((model, field), place) in enumerate(changes):
        rows = model.objects.order_by("pk")
        if not rows:
            continue
        row = rows[place % len(rows)]
        told = foretold(model, row.pk, field)
        model.objects.filter(pk=row.pk).update(**{field: CHANGES[model, field](number)})
        assert touched(store) == told, (model, field)
        testing.drain(store)


def furnish(shape: list[int]) -> None:
    """A user for each number, with as many orders; products that some of them share."""
    products = [add_product() for _ in range(3)]
    for number, orders in enumerate(shape):
        user = add_user()
        for place in range(orders):
            order = add_order(user)
            for product in products[: (number + place) % 4]:
                add_line(order, product)


def foretold(model: type, pk: int, field: str) -> Counter[str]:
    out = StringIO()
    call_command("readmodels", "touched", model._meta.label, str(pk), "--field", field, "--json", stdout=out)
    found = json.loads(out.getvalue())
    return Counter({row["read_model"]: row["documents"] for row in found["read_models"]})


def touched(store) -> Counter[str]:
    """How many documents or rows a projector is about to write, of each read model; one that moves counts once."""
    writes = projector.read(store, outbox.Lane.LIVE.value).writes
    places = {(each.read_model, each.key if isinstance(each, DocumentWrite) else each.row_id) for each in writes}
    return Counter(name for name, _ in places)
