"""Production: what the start demands, and how the API behaves behind a proxy that ends TLS. A real process each."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from django.db import connection

from project import child, env
from project.site import MANAGE, api_command
from tests.browser.conftest import free_port

START_SECONDS = 60
PROXY, STRANGER = "127.0.0.2", "127.0.0.1"
HOST = "orders.example.com"
SECURE = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.1"}
PRODUCTION = {
    "DEBUG": "0",
    "SECRET_KEY": secrets.token_urlsafe(50),
    "ALLOWED_HOSTS": HOST,
    "TLS": "proxy",
    "TRUSTED_PROXIES": f"{PROXY}/32",
}


@dataclass
class Api:
    url: str
    log: Path

    def get(self, path: str, address: str = PROXY, **headers: str) -> httpx.Response:
        with httpx.Client(transport=httpx.HTTPTransport(local_address=address)) as client:
            return client.get(f"{self.url}{path}", headers={"Host": HOST, **headers}, timeout=START_SECONDS)


@pytest.fixture(scope="module")
def api(django_db_setup, django_db_blocker, servers, tmp_path_factory) -> Iterator[Api]:
    """The API in two processes, as in production, on the tests' servers."""
    with django_db_blocker.unblock():
        database = connection.settings_dict["NAME"]
    port, log = free_port(), tmp_path_factory.mktemp("production") / "api.log"
    addresses = {**servers.urls, "DATABASE_URL": servers.postgres.url.replace("/readmodels?", f"/{database}?")}
    environ = {**os.environ, **addresses, **PRODUCTION, "QUERIES_PER_ADDRESS": "10/3600"}
    process = child.spawn(api_command("127.0.0.1", port, 2), log=log, environ=environ, folder=env.ROOT)
    started = Api(f"http://127.0.0.1:{port}", log)
    try:
        assert child.wait_until(lambda: answers(started), START_SECONDS), log.read_text()
        yield started
    finally:
        child.stop([process], 10)


def answers(api: Api) -> bool:
    try:
        return api.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


def test_probe_is_answered_without_tls_and_by_any_name(api):
    for address in (PROXY, STRANGER):
        assert api.get("/health/live", address, Host="10.1.2.3:8000").status_code == 200


def test_other_hosts_are_refused(api):
    assert api.get("/api", Host="elsewhere.example.com", **SECURE).status_code == 400


def test_without_tls_the_way_is_to_tls(api):
    found = api.get("/api", **{"X-Forwarded-For": "198.51.100.2"})
    assert (found.status_code, found.headers["Location"]) == (301, f"https://{HOST}/api")


def test_with_tls_browsers_are_told_to_stay_there(api):
    found = api.get("/api", **SECURE)
    assert found.status_code == 200
    assert found.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"


def test_a_stranger_can_not_say_that_it_came_by_tls(api):
    assert api.get("/api", STRANGER, **SECURE).status_code == 301


def test_of_100_at_once_over_several_processes_exactly_10_pass(api):
    headers = {**SECURE, "X-Forwarded-For": "1.2.3.4, 198.51.100.3"}
    with ThreadPoolExecutor(100) as pool:
        found = list(pool.map(lambda _: api.get("/api", **headers).status_code, range(100)))
    assert (found.count(200), found.count(429)) == (10, 90)


def test_made_up_addresses_do_not_get_around_a_limit(api):
    found = [api.get("/api", **{**SECURE, "X-Forwarded-For": f"1.2.3.{n}, 198.51.100.4"}) for n in range(11)]
    assert [each.status_code for each in found] == [200] * 10 + [429]


def test_log_of_the_process_tells_no_secret(api):
    token = "abcdefghijklmnop"
    secret = {"Authorization": f"Bearer {token}", "Cookie": f"sessionid={token}", "Idempotency-Key": f"key-{token}"}
    headers = {**SECURE, **secret, "X-Forwarded-For": "198.51.100.5"}
    assert api.get("/api/grace.hopper@example.com/password=horse-staple", **headers).status_code == 404
    assert child.wait_until(lambda: "Not Found: /api/" in api.log.read_text(), 10)
    log = api.log.read_text()
    assert not [each for each in (token, "grace.hopper", "horse-staple") if each in log]


@pytest.mark.parametrize("tls", [{"TLS": "1"}, {"TLS": "proxy"}])
def test_djangos_own_check_finds_nothing(tls):
    found = manage("check", "--deploy", "--fail-level=WARNING", **{**PRODUCTION, **tls})
    assert (found.returncode, found.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "insecure-for-a-laptop-only-" + "0" * 40),
        ("SECRET_KEY", "abc" * 30),
        ("ALLOWED_HOSTS", ""),
        ("ALLOWED_HOSTS", "*"),
        ("TLS", ""),
        ("TLS", "yes"),
        ("TRUSTED_PROXIES", ""),
        ("TRUSTED_PROXIES", "everybody"),
        ("PROXY_HEADER", "X-Real-IP"),
        ("QUERIES_PER_ACCOUNT", "many"),
    ],
)
def test_start_without_what_production_needs_is_refused_in_one_line(name, value):
    found = manage("check", **{**PRODUCTION, name: value})
    assert found.returncode == 2
    assert found.stderr.startswith(f"{name}=")
    assert found.stderr.count("\n") == 1
    assert not value or value not in found.stderr or name != "SECRET_KEY"


@pytest.mark.parametrize("command", [[*MANAGE, "up"], [sys.executable, "-m", "celery", "-A", "worker", "worker"]])
def test_every_process_is_refused(command):
    found = run(command, **{**PRODUCTION, "TLS": ""})
    assert (found.returncode, found.stderr.splitlines()[0][:4]) == (2, "TLS=")


def manage(*words: str, **environ: str) -> subprocess.CompletedProcess:
    return run([*MANAGE, *words], **environ)


def run(command: list[str], **environ: str) -> subprocess.CompletedProcess:
    # No wall time is promised here; the machine may do much else.
    return subprocess.run(
        command, env={**os.environ, **environ}, cwd=env.ROOT, capture_output=True, text=True, timeout=120, check=False
    )
