"""The scrub in real processes: it runs by itself, mends what a hand in Redis broke, and leaves word in the log."""

from project import child
from readmodels import connection, generations, keys, scrub
from readmodels.query import Reader
from tests.faults.system import System
from tests.faults.test_relay import relay_alone
from users.readmodels.user_profile import UserProfile

# Each read model has its turn every seventh step, and needs three: two looks, and where it goes on from there.
ROUND_SECONDS = 90.0


def test_worker_mends_what_a_hand_broke(system: System):
    lose_a_document(system)
    assert all("UserProfile" in line for line in told(system))
    system.restart()
    assert told(system), "a start has put away what the log of before told"


def test_relay_mends_what_a_hand_broke(system: System):
    with relay_alone(system):
        lose_a_document(system)
    assert told(system)


def test_every_read_model_is_verified_in_the_end(system: System):
    assert child.wait_until(lambda: all(each.verified_as_of for each in scrub.verified_as_of()), ROUND_SECONDS)


def lose_a_document(system: System) -> None:
    """A document is deleted by hand; it is there again, and the log says that it was not."""
    [customer] = system.add_customers(1)
    key = keys.document("UserProfile", generations.pointers()["UserProfile"], str(customer))
    assert connection.read_models().delete(key) == 1
    assert child.wait_until(lambda: Reader(system.store).document(UserProfile, customer).body, ROUND_SECONDS)
    assert child.wait_until(lambda: bool(told(system)), 5), "mended without a word"


def told(system: System) -> set[str]:
    return system.drift() - system.told_before
