"""The project's own servers: addresses known before they run, data that outlives a kill."""

import os

import psycopg
import pytest
import redis

from project.child import CannotStart
from project.embedded import Postgres, Redis, Servers
from project.server_process import LONGEST_SOCKET_PATH, is_listening


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    servers = Servers(tmp_path_factory.mktemp("own"), is_durable=False)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


def test_postgres_keeps_committed_rows_over_a_kill(own):
    with psycopg.connect(own.postgres.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS number")
    own.postgres.kill()
    assert not own.postgres.is_running
    own.postgres.start()
    with psycopg.connect(own.postgres.url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (1,)


def test_read_models_are_kept_over_a_stop(own):
    redis.Redis.from_url(own.read_models.url).set("kept", "1")
    own.read_models.stop()
    own.read_models.start()
    assert redis.Redis.from_url(own.read_models.url).get("kept") == b"1"


def test_redis_never_evicts(own):
    assert redis.Redis.from_url(own.read_models.url).config_get("maxmemory-policy") == {
        "maxmemory-policy": "noeviction"
    }


@pytest.mark.parametrize("name", ["postgres", "broker"])
def test_a_server_left_behind_is_ended_by_the_next_start(own, name):
    server = getattr(own, name)
    left_behind, server.process = server.process, None
    server.start()
    assert left_behind.wait(10) == 0
    assert server.is_running


def test_a_server_that_can_not_start_shows_its_log(tmp_path):
    server = Redis(tmp_path, "broker", is_durable=False)
    server.socket.mkdir(parents=True)
    with pytest.raises(CannotStart, match="broker does not start"):
        server.start()
    assert not server.is_running


@pytest.mark.parametrize("depth", [1, 30, 120])
def test_a_socket_path_fits_however_long_the_folder(tmp_path, depth):
    server = Postgres(tmp_path / ("x" * depth))
    assert len(os.fsencode(server.socket)) <= LONGEST_SOCKET_PATH
    assert Postgres(tmp_path / ("x" * depth)).url == server.url


def test_only_what_the_environment_does_not_name_is_embedded(tmp_path):
    assert list(Servers(tmp_path, without={"DATABASE_URL", "BROKER_URL"}).urls) == ["REDIS_URL"]


def test_nothing_listens_once_stopped(tmp_path):
    server = Redis(tmp_path, "broker", is_durable=False)
    server.start()
    server.stop()
    assert not is_listening(server.socket)
