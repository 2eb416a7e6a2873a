"""PostgreSQL replaced by another: a standby is promoted, a backup restored. The epoch goes up by itself, documents show
what the new one has and nothing else, and a token of before is never taken for one of now.
"""

from collections.abc import Callable

import pytest

from orders.readmodels.customer_orders import CustomerOrders
from project import child
from project.own_postgres import Postgres
from readmodels import consistency, models, testing
from readmodels.consistency import Token
from readmodels.errors import CannotSay, NotPrimary, StoreUnavailable
from readmodels.query import Reader
from tests.faults.standby import crash, kept_copy, restore, standby_of
from tests.faults.system import HEAL_SECONDS, System
from tests.faults.test_postgres import assert_nothing_answered_is_lost
from tests.faults.watcher import Watcher
from tests.faults.writers import Writers
from tests.reading import body
from tests.rows import add_order, add_user
from users.commands import rename_user
from users.models import User
from users.readmodels.user_profile import UserProfile


def stop(server: Postgres) -> None:
    """A planned change: the last thing that the primary does is to send the standby all it has."""
    server.stop()


@pytest.mark.parametrize("end", [stop, crash])
def test_promoted_standby_loses_nothing_that_it_was_sent(system: System, end: Callable[[Postgres], None]):
    customers = system.add_customers(8)
    with standby_of(system, is_synchronous=end is crash) as standby, Watcher(customers) as watcher:
        with Writers(customers, seed=1) as writers:
            writers.go_on(100)
            before, token = models.Clock.objects.get(), write(add_user().pk, "Before")
            end(system.servers.postgres)
            standby.take_over()
            assert_refused_while_a_standby(system)
            standby.promote()
            writers.go_on(50)
            system.assert_heals()
        system.assert_converged(watcher)
    assert is_replaced(before)
    assert_nothing_answered_is_lost(writers)
    assert_cannot_say(system, customers[0], token)


def test_what_a_promoted_standby_never_had_is_in_no_document(system: System):
    customers = system.add_customers(8)
    [customer] = system.add_customers(1)
    with standby_of(system, is_synchronous=False) as standby, Watcher(customers, may_lose=True) as watcher:
        with Writers(customers, seed=2) as writers:
            writers.go_on(50)
            standby.lose_touch()
            before, token = models.Clock.objects.get(), lose(system, customer)
            writers.go_on(50)
            crash(system.servers.postgres)
            standby.take_over()
            standby.promote()
            writers.go_on(50)
            system.assert_heals()
        system.assert_converged(watcher)
    assert is_replaced(before)
    assert_forgotten(system, customer, token)


# It is told from the heartbeat, which goes on once a second: a copy of less than that ago could not be told.
@pytest.mark.parametrize("is_cold", [True, False])
def test_what_a_restored_backup_never_had_is_in_no_document(system: System, is_cold: bool):
    customers = system.add_customers(8)
    [customer] = system.add_customers(1)
    with Watcher(customers, may_lose=True) as watcher, kept_copy(system, is_cold=is_cold) as yesterday:
        with Writers(customers, seed=3) as writers:
            system.assert_heals()
            before, token = models.Clock.objects.get(), lose(system, customer)
            writers.go_on(50)
            beats = heartbeats(system)
            assert child.wait_until(lambda: heartbeats(system) > beats + 1, HEAL_SECONDS)
            restore(system.servers.postgres, yesterday)
            writers.go_on(50)
            # Nothing is pending nor lost by itself: the next sweep sees that PostgreSQL went back.
            assert child.wait_until(lambda: is_replaced(before), HEAL_SECONDS)
            system.assert_heals()
        system.assert_converged(watcher)
    assert_forgotten(system, customer, token)


def write(user_id: int, name: str) -> Token:
    """The user is called so; returns the write's consistency token."""
    with consistency.recorded() as written:
        rename_user(user_id=user_id, name=name)
    assert written.token
    return written.token


def lose(system: System, customer: int) -> Token:
    """A customer has a new name and order, and somebody came, and all of it is shown; returns the last one's token."""
    add_order(User.objects.get(pk=customer))
    add_user(name="Lost")
    token = write(customer, "Lost")
    assert child.wait_until(lambda: shown(system, customer) == ("Lost", 2), HEAL_SECONDS)
    return token


def assert_forgotten(system: System, customer: int, token: Token) -> None:
    """Nothing shows what `lose` did. The law has shown that of all documents; here it is said of these."""
    # A bucket that was filled again is read from the next sweep on.
    assert child.wait_until(lambda: shown(system, customer) == ("Count 0", 1), HEAL_SECONDS)
    assert_cannot_say(system, customer, token)


def shown(system: System, customer: int) -> tuple[str, int] | None:
    """The customer's name and number of orders, as documents have them; None while they can't be read."""
    try:
        page = Reader(system.store).page(CustomerOrders, customer)
        return body(system.store, UserProfile, customer)["name"], page.measures[""]["orders"]
    except StoreUnavailable:
        return None


def heartbeats(system: System) -> int:
    """How many heartbeats Redis has been given."""
    return int((system.store.state().heartbeat or b"0").split()[0])


def assert_cannot_say(system: System, user_id: int, token: Token) -> None:
    """The same number may be another transaction's by now."""
    with pytest.raises(CannotSay):
        Reader(system.store).document(UserProfile, user_id, token=token, wait_seconds=0)
    with pytest.raises(CannotSay):
        Reader(system.store).page(CustomerOrders, user_id, token=token, wait_seconds=0)


def is_replaced(before: models.Clock) -> bool:
    """Whether the epoch is higher than before, and tokens of before are known to say nothing of now."""
    now = models.Clock.objects.get()
    return now.epoch > before.epoch and now.timeline_epoch > before.epoch


def assert_refused_while_a_standby(system: System) -> None:
    """Nobody builds from a standby, nor says that anything has been applied."""
    assert child.wait_until(lambda: refusals(system) > 0, HEAL_SECONDS)
    with pytest.raises(NotPrimary):
        testing.drain(system.store)
    refused, progress = refusals(system), system.store.progress()
    assert child.wait_until(lambda: refusals(system) > refused, HEAL_SECONDS)
    assert system.store.progress() == progress


def refusals(system: System) -> int:
    """How often the worker has declined since it was started."""
    return system.log("worker").count("the database is a standby")
