"""The wake's circuit: a broker that failed or dawdled is left alone for a while; no write ever fails for it."""

import pytest

from readmodels.conf import conf
from readmodels.wake import Wake


class Broker:
    """Takes its time, by a clock of its own, and then answers or raises."""

    def __init__(self, seconds: float, error: Exception | None = None) -> None:
        self.now, self.seconds, self.error, self.asked = 0.0, seconds, error, 0

    def send(self) -> None:
        self.asked += 1
        self.now += self.seconds
        if self.error:
            raise self.error


def wake_through(broker: Broker) -> Wake:
    return Wake(broker.send, clock=lambda: broker.now)


def test_broker_that_answers_is_asked_each_time():
    broker = Broker(seconds=0.01)
    waking = wake_through(broker)
    waking(), waking()
    assert broker.asked == 2


@pytest.mark.parametrize("broker", [Broker(0.1, OSError("down")), Broker(2.0)], ids=["failing", "slow"])
def test_broker_in_trouble_is_left_alone_for_a_while(broker):
    waking = wake_through(broker)
    waking(), waking()
    assert broker.asked == 1
    broker.now += conf().broker_pause_seconds
    waking()
    assert broker.asked == 2
