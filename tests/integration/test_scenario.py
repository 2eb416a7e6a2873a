"""The test kit's scenarios: given, when, then on real servers, and how a failure reads."""

from textwrap import dedent

import pytest
from django.db import transaction

from orders.commands import pay_order
from orders.models import Order
from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.order_detail import OrderDetail
from readmodels import testing
from readmodels.models import Generation
from tests.rows import add_order, add_user
from users.commands import rename_user
from users.readmodels.user_profile import UserProfile


@pytest.fixture
def scenario(store):
    with testing.scenario(store) as found:
        yield found


def test_scenario_reads_what_was_written(scenario):
    ada = scenario.given(add_user, name="Ada")
    order = scenario.given(add_order, ada, total_cents=300)
    scenario.when(rename_user, user_id=ada.pk, name="Countess")
    scenario.then(OrderDetail, order.pk, {"total_cents": 300, "customer": {"name": "Countess"}})


def test_page_has_rows_and_measures(scenario):
    ada = scenario.given(add_user)
    first, second = (scenario.given(add_order, ada, total_cents=cents) for cents in (300, 200))
    scenario.when(pay_order, order_id=first.pk)
    scenario.then_page(CustomerOrders, ada.pk, [{"id": second.pk}, {"id": first.pk}], {"orders": 2, "spent_cents": 300})
    scenario.then_page(CustomerOrders, ada.pk, [{"id": second.pk}], {"orders": 1}, status="placed")
    scenario.then_page(CustomerOrders, ada.pk, [], {"orders": 0, "spent_cents": 0}, status="shipped")


def test_deleted_row_has_no_document(scenario):
    order = scenario.given(add_order, None)
    key = order.pk
    scenario.when(order.delete)
    scenario.then_absent(OrderDetail, key)


def test_missing_document_is_told_of(scenario):
    with pytest.raises(AssertionError, match=r"OrderDetail 7 is not as expected:\n  all: .* found None"):
        scenario.then(OrderDetail, 7, {"id": 7})


def test_document_that_should_be_absent_is_told_of(scenario):
    user = scenario.given(add_user)
    with pytest.raises(AssertionError, match=f"UserProfile {user.pk} is not as expected:\n  all: expected None, found"):
        scenario.then_absent(UserProfile, user.pk)


def test_failure_shows_what_differs_and_both_bodies(scenario):
    user = scenario.given(add_user, name="Ada", country="Denmark")
    with pytest.raises(AssertionError) as caught:
        scenario.then(UserProfile, user.pk, {"name": "Bob", "country": "Denmark", "nickname": "B"})
    assert str(caught.value).startswith(
        dedent("""\
            UserProfile 1 is not as expected:
              name: expected 'Bob', found 'Ada'
              nickname: is not there
            expected: {
              "name": "Bob",
              "country": "Denmark",
              "nickname": "B"
            }
            found: {
              "id": 1,
        """)
    )


def test_other_rows_of_a_page_are_told_of(scenario):
    user = scenario.given(add_user)
    order = scenario.given(add_order, user)
    with pytest.raises(AssertionError, match=r"rows of CustomerOrders 1 is not as expected:\n  all: expected 2,"):
        scenario.then_page(CustomerOrders, user.pk, [{"id": order.pk}, {"id": 99}])
    with pytest.raises(AssertionError, match=r"status=placed is not as expected:\n  \[0\].id: expected 99, found 1"):
        scenario.then_page(CustomerOrders, user.pk, [{"id": 99}], status="placed")
    with pytest.raises(AssertionError, match="orders: expected 3, found 1"):
        scenario.then_page(CustomerOrders, user.pk, measures={"orders": 3})


def test_scenario_begins_with_nothing(store):
    add_order(None)
    with testing.scenario(store) as scenario:
        scenario.then_absent(OrderDetail, 1)
    assert not Order.objects.exists()


def test_scenario_ends_with_the_law(store):
    def lose_documents():
        with testing.scenario(store) as scenario:
            scenario.given(add_order, None)
            store.drop("OrderDetail", Generation.objects.get(read_model="OrderDetail", state="live").number)

    with pytest.raises(AssertionError, match="OrderDetail is not what a fresh build gives:\n  missing: 1"):
        lose_documents()


def test_scenario_in_a_transaction_is_refused(store):
    with transaction.atomic(), pytest.raises(AssertionError, match="transactional_db"):
        testing.reset(store)
