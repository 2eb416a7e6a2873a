"""The broker emptied, stopped or hung while customers write: each write is answered, and within a second."""

import logging
import random

import pytest
from kombu import Connection, Consumer, Message, Producer, Queue

from project import child
from readmodels import connection, tasks
from tests.faults.proxy import proxied
from tests.faults.system import HEAL_SECONDS, System, scaled
from tests.faults.watcher import Watcher
from tests.faults.writers import Outcome, Writers
from worker import config

# What a write may take with whatever the broker does.
WRITE_SECONDS = 1.0


def test_emptied_broker_costs_nothing(system: System):
    customers = system.add_customers(8)
    with Watcher(customers) as watcher:
        with Writers(customers, seed=1) as writers:
            for _ in range(scaled(3, 30)):
                writers.go_on(50)
                connection.broker().flushall()
        system.assert_converged(watcher)
    assert_all_answered(writers.outcomes)


def test_stopped_broker_fails_no_write(system: System):
    customers = system.add_customers(8)
    with Watcher(customers) as watcher:
        with Writers(customers, seed=2) as writers:
            for _ in range(scaled(4, 20)):
                writers.go_on(50)
                system.servers.broker.stop()
                writers.go_on(50)
                system.servers.broker.start()
                system.assert_heals()
        system.assert_converged(watcher)
    assert_all_answered(writers.outcomes)


# The broker of the writer alone hangs: sweeps project what no wake announces. Or that of worker and beat too.
@pytest.mark.parametrize("is_hung_for_all", [False, True])
def test_hung_broker_fails_no_write(system: System, is_hung_for_all: bool):
    customers = system.add_customers(8)
    with proxied(system.servers.broker) as proxy, Watcher(customers) as watcher:
        environ = {"BROKER_URL": f"redis://127.0.0.1:{proxy.port}/0"}
        if is_hung_for_all:
            system.restart(**environ)
        system.start_writer(customers, 3, **environ)
        assert child.wait_until(lambda: len(system.written()) > 20, HEAL_SECONDS)
        for _ in range(scaled(2, 10)):
            with proxy.stalled():
                written = len(system.written())
                assert child.wait_until(lambda so_far=written: len(system.written()) > so_far + 200, HEAL_SECONDS)
                assert is_hung_for_all or system.is_quick()
            system.assert_heals()
        outcomes = system.written()
        system.kill("writer")
        system.assert_converged(watcher)
        if is_hung_for_all:
            system.restart()
    assert_all_answered(outcomes)


def test_wakes_tripled_and_shuffled_change_nothing(system: System):
    chance = random.Random(4)
    customers = system.add_customers(8)
    with Watcher(customers) as watcher:
        with Writers(customers, seed=4) as writers:
            while writers.done < scaled(200, 2000):
                for _ in range(3):
                    chance.choice((tasks.drain, tasks.drain, tasks.sweep)).delay()
        system.assert_converged(watcher)


def test_acknowledgement_that_is_lost_costs_no_place_of_the_prefetch(servers):
    queue = Queue("places")
    with proxied(servers.broker) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        with Connection(url, transport_options=config.broker_transport_options) as taking, taking.channel() as channel:
            taken: list[Message] = []
            with Consumer(channel, [queue], callbacks=[lambda body, message: taken.append(message)]) as consumer:
                consumer.qos(prefetch_count=1)
                Producer(channel, routing_key="places").publish({}, declare=[queue])
                taking.drain_events(timeout=HEAL_SECONDS)
                assert not channel.qos.can_consume()
                with proxy.stalled():
                    taken[0].ack_log_error(logging.getLogger(__name__), taking.connection_errors)
                assert channel.qos.can_consume()


def assert_all_answered(outcomes: list[Outcome]) -> None:
    failed = [outcome for outcome in outcomes if outcome.error]
    assert not failed, failed[:3]
    slowest = max(outcomes, key=lambda outcome: outcome.seconds)
    assert slowest.seconds < WRITE_SECONDS, slowest
