"""A site that runs as `manage.py up` runs it, and Chromium to look at it.

Both end with this folder's tests, not with the session: while Playwright runs, Django takes the main thread for an
asynchronous one and refuses every query there.
"""

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from project.demo_accounts import DEMO_ACCOUNTS
from project.env import SERVER_VARIABLES
from project.site import Site
from project.supervisor import running

ACCOUNTS = {account.role: account for account in DEMO_ACCOUNTS}
DEMO_DATA = ("create_demo_data", "--users=3", "--products=5", "--orders=5")
DEMO_DATA_SECONDS = 60
# Pages come in tenths of a second; this is for a machine that does much else.
PAGE_SECONDS = 15
# What Playwright does not pass by itself.
FLAGS = ["--disable-gpu", "--disable-quic", "--disable-sync"]


@pytest.fixture(scope="package")
def site() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="site-") as folder, pytest.MonkeyPatch.context() as environ:
        # The site starts servers of its own; those of the other tests are not its business.
        for variable in (*SERVER_VARIABLES, "DEMO"):
            environ.delenv(variable, raising=False)
        with running(Path(folder), free_port(), events_port=free_port(), processes=1, demo_data=False) as started:
            environ.undo()
            started.manage(*DEMO_DATA, limit_seconds=DEMO_DATA_SECONDS)
            yield started


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    search = [Path(__file__).with_name("install.sh"), "--find"]
    found = subprocess.run(search, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if found.returncode:
        pytest.fail(found.stderr, pytrace=False)
    expect.set_options(timeout=PAGE_SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found.stdout.strip(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(site: Site, browser: Browser) -> Iterator[Page]:
    """A page of somebody not signed in. At the end: all it asked for was on the site, and no script had failed."""
    hosts, errors = set(), []

    def note(said: ConsoleMessage) -> None:
        # The icon is Chromium's own idea.
        if said.type == "error" and not said.location["url"].endswith("/favicon.ico"):
            errors.append(said.text)

    with browser.new_context(base_url=site.base_url, viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(PAGE_SECONDS * 1000)
        page = context.new_page()
        page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        page.on("console", note)
        page.on("pageerror", lambda error: errors.append(str(error)))
        yield page
    # A data: URL has no host.
    assert hosts - {""} <= {urlsplit(site.base_url).netloc}
    assert errors == []


@pytest.fixture(scope="package")
def staff(site: Site) -> Iterator[httpx.Client]:
    """The API, as the demo's staff."""
    email, password = ACCOUNTS["staff"].email, ACCOUNTS["staff"].password
    with httpx.Client(base_url=site.base_url, timeout=PAGE_SECONDS) as api:
        login = api.post("/api/auth/login", json={"email": email, "password": password}).raise_for_status()
        api.headers["Authorization"] = f"Bearer {login.json()['token']}"
        yield api


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return server.getsockname()[1]
