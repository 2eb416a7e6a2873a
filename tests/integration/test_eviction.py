"""A Redis that may drop documents by itself is refused at each start, and the line says what to do."""

import os
import subprocess
from contextlib import contextmanager

import pytest
import redis

from project import child, site
from project.env import ROOT
from project.preflight import require_answers
from readmodels import connection, eviction
from readmodels.errors import MayEvict, StoreUnavailable
from tests.unreachable import no_redis

START_SECONDS = 60
STARTS = {"worker": site.worker_command(1), "relay": site.relay_command()}
HAS_STARTED = {"worker": " ready.", "relay": "relay_started"}


@pytest.fixture
def evicting(servers):
    """The read models' Redis evicts until the test ends."""
    with policy("allkeys-lru"):
        yield


@contextmanager
def policy(name: str):
    connection.read_models().config_set("maxmemory-policy", name)
    try:
        yield
    finally:
        connection.read_models().config_set("maxmemory-policy", "noeviction")


def assert_says_what_to_do(line: str) -> None:
    assert "\n" not in line
    assert "allkeys-lru" in line
    assert "redis-cli CONFIG SET maxmemory-policy noeviction" in line


@pytest.mark.parametrize("name", ["allkeys-lru", "allkeys-random", "volatile-lru", "volatile-ttl"])
def test_every_policy_but_one_is_refused(servers, name):
    with policy(name), pytest.raises(MayEvict, match=name):
        eviction.demand()


def test_redis_that_never_evicts_is_taken(servers):
    eviction.demand()


def test_redis_that_is_away_is_not_judged(monkeypatch):
    no_redis(monkeypatch)
    with pytest.raises(StoreUnavailable):
        eviction.demand()


def test_config_need_not_be_permitted(evicting):
    admin = connection.read_models()
    admin.acl_setuser("hosted", enabled=True, nopass=True, keys="*", commands=["+@all", "-config"])
    options = {**admin.get_connection_kwargs(), "username": "hosted", "password": "any"}
    hosted = redis.Redis(connection_pool=redis.ConnectionPool(admin.connection_pool.connection_class, **options))
    try:
        with pytest.raises(redis.ResponseError):
            hosted.config_get("maxmemory-policy")
        assert eviction.policy(hosted) == "allkeys-lru"
    finally:
        hosted.close()
        admin.acl_deluser("hosted")


@pytest.mark.parametrize("part", STARTS)
def test_part_ends_at_the_start_where_redis_may_evict(evicting, part):
    ended = subprocess.run(STARTS[part], cwd=ROOT, capture_output=True, text=True, timeout=START_SECONDS)
    assert ended.returncode == 2, ended.stderr
    *before, line = ended.stderr.splitlines()  # Celery has warned of root before
    assert_says_what_to_do(line)
    assert not any("Traceback" in each for each in before)


@pytest.mark.parametrize("part", STARTS)
def test_part_starts_where_redis_is_away(servers, tmp_path, part):
    log = tmp_path / f"{part}.log"
    environ = {**os.environ, "REDIS_URL": "redis://127.0.0.1:1/1", "PYTHONUNBUFFERED": "1"}
    process = child.spawn(STARTS[part], log=log, environ=environ, folder=ROOT)
    try:
        assert child.wait_until(lambda: HAS_STARTED[part] in log.read_text(), START_SECONDS), log.read_text()
    finally:
        child.kill(process)
    assert "Traceback" not in log.read_text()


def test_up_lets_the_broker_evict(servers):
    assert require_answers(servers.urls) == set(servers.urls)
