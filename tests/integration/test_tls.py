"""TLS to every server by its URL alone, and none whose certificate can't be verified."""

import os
from pathlib import Path

import psycopg
import pytest
from django.db import connection as database

from project import child, env, site
from readmodels import connection, testing
from readmodels.errors import StoreUnavailable
from readmodels.query import Reader
from readmodels.store import Store
from tests.rows import add_user
from tests.tls import HOST, Authority, authority, behind_tls
from users.readmodels.user_profile import UserProfile
from worker.celery import app, broker_url

START_SECONDS = 60


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls"), "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls"), "theirs")


def redis_url(port: int, ca: Authority | None) -> str:
    return f"rediss://{HOST}:{port}/0" + (f"?ssl_ca_certs={ca.file}" if ca else "")


def postgres_url(port: int, ca: Authority) -> str:
    name = database.settings_dict["NAME"]
    return f"postgresql://postgres@{HOST}:{port}/{name}?sslmode=verify-full&sslrootcert={ca.file}"


def test_read_models_are_kept_and_read_by_tls(store, servers, ours):
    with behind_tls(servers.read_models, ours.context()) as port:
        by_tls = Store(connection.identified(redis_url(port, ours), 10))
        user = add_user()
        testing.drain(by_tls)
        assert Reader(by_tls).document(UserProfile, user.pk).body


@pytest.mark.parametrize("is_given", [True, False])
def test_redis_with_a_certificate_of_another_ca_is_refused(servers, ours, theirs, is_given):
    refused = pytest.raises(StoreUnavailable, match="CERTIFICATE_VERIFY_FAILED")
    with behind_tls(servers.read_models, theirs.context()) as port, refused:
        Store(connection.identified(redis_url(port, ours if is_given else None), 10)).epoch()


def test_redis_with_a_certificate_for_another_name_is_refused(servers, ours):
    refused = pytest.raises(StoreUnavailable, match="match")
    with behind_tls(servers.read_models, ours.context("elsewhere.example.com")) as port, refused:
        Store(connection.identified(redis_url(port, ours), 10)).epoch()


def test_database_is_reached_by_tls(store, servers, ours):
    by_tls = behind_tls(servers.postgres, ours.context(), is_postgres=True)
    with by_tls as port, psycopg.connect(postgres_url(port, ours)) as found:
        assert found.execute("SELECT 1").fetchone() == (1,)
        assert found.pgconn.ssl_in_use


@pytest.mark.parametrize(("host", "reason"), [(HOST, "verify failed"), ("elsewhere.example.com", "does not match")])
def test_database_with_a_wrong_certificate_is_refused(store, servers, ours, theirs, host, reason):
    issuer = theirs if host == HOST else ours
    refused = pytest.raises(psycopg.OperationalError, match=reason)
    with behind_tls(servers.postgres, issuer.context(host), is_postgres=True) as port, refused:
        psycopg.connect(postgres_url(port, ours))


def test_broker_is_reached_by_tls(servers, ours):
    with behind_tls(servers.broker, ours.context()) as port, app.connection(broker_url(redis_url(port, ours))) as found:
        assert found.default_channel.client.ping()


@pytest.mark.parametrize("is_given", [True, False])
def test_broker_with_a_wrong_certificate_is_refused(servers, ours, theirs, is_given):
    """Also where the URL names no CA: Celery by itself would take any certificate then."""
    url = broker_url(redis_url(1, ours if is_given else None))
    refused = pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED")
    with behind_tls(servers.broker, theirs.context()) as port, refused:
        app.connection(url.replace(":1/", f":{port}/")).default_channel.client.ping()


def test_whole_system_runs_with_tls_to_every_server(store, servers, ours, tmp_path):
    """Worker and beat take the three URLs as they are."""
    user = add_user(name="Ada")
    logs = {name: tmp_path / f"{name}.log" for name in ("worker", "beat")}
    (tmp_path / "run").mkdir()
    with (
        behind_tls(servers.read_models, ours.context()) as read_models,
        behind_tls(servers.broker, ours.context()) as broker,
        behind_tls(servers.postgres, ours.context(), is_postgres=True) as postgres,
    ):
        addresses = {
            "DATABASE_URL": postgres_url(postgres, ours),
            "REDIS_URL": redis_url(read_models, ours),
            "BROKER_URL": redis_url(broker, ours),
        }
        commands = {"worker": site.worker_command(1), "beat": site.beat_command(tmp_path)}
        processes = [
            child.spawn(command, log=logs[name], environ={**os.environ, **addresses}, folder=env.ROOT)
            for name, command in commands.items()
        ]
        try:
            assert child.wait_until(lambda: is_shown(store, user.pk), START_SECONDS), read(logs)
        finally:
            child.stop(processes, 20)


def is_shown(store: Store, user_id: int) -> bool:
    return Reader(store).document(UserProfile, user_id).body is not None


def read(logs: dict[str, Path]) -> str:
    return "\n".join(path.read_text() for path in logs.values() if path.exists())
