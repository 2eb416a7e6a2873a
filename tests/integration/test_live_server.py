"""The server of live updates without a process around it, where that would hide what is asked here."""

import asyncio

import pytest

from readmodels import live, live_server
from readmodels.errors import TooManyStreams
from readmodels.live_server import LiveServer
from readmodels.query import Reader


@pytest.fixture
def server(store) -> LiveServer:
    return LiveServer("project.live_urls")


def test_a_hub_that_fails_is_followed_by_another(server, monkeypatch):
    async def fail(_hub):
        raise RuntimeError

    async def hubs():
        with monkeypatch.context() as patched:
            patched.setattr(live.Hub, "run", fail)
            first = server.hub()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        second = server.hub()
        second.stop()
        return first, second

    first, second = asyncio.run(hubs())
    assert first is not second
    with pytest.raises(TooManyStreams):
        first.admit("anybody")


def test_room_is_given_back(store, configured):
    configured(LIVE_STREAMS=1)
    hub = live.Hub(store, Reader(store))
    release = hub.admit("ada")
    with pytest.raises(TooManyStreams):
        hub.admit("bob")
    release()
    hub.admit("bob")


def test_what_was_not_begun_gives_back_its_room(server, configured):
    opening = live_server.Opening(_follower(released := []))
    opening.close()
    assert released == [True]


def _follower(released: list[bool]):
    return type("Follower", (), {"release": staticmethod(lambda: released.append(True))})()
