"""docs/how-to/use-the-api.md followed on a real system: commands by bash, the session by Python, output compared."""

import contextlib
import doctest
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import pytest

from project.child import wait_until
from project.env import LIMITS, ROOT, SERVER_VARIABLES
from tests.live import free_port

PAGE = (ROOT / "docs/how-to/use-the-api.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = re.compile(r"(127\.0\.0\.1:)(8000|8001)\b")
STARTED = "Ctrl-C stops everything."
# A command goes on after a backslash at the end of a line; what follows it is what it prints.
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
START_SECONDS, STOP_SECONDS, SHELL_SECONDS = 180, 60, 60
AS_PRINTED = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
STAFF = {"email": "staff@example.com", "password": "demo-staff-password"}
LISTS = ("orders/1", "users/3/orders", "orders?status=placed", "products", "sales?from=2026-01-01&to=2026-01-01")


def blocks(page: str, *languages: str) -> str:
    return "\n".join(text for language, text in BLOCK.findall(page) if language in languages)


def same(wanted, got):
    return doctest.OutputChecker().check_output(wanted, got, AS_PRINTED)


@pytest.fixture(scope="module")
def page():
    """The page with the ports of a system that has been started for it, with the demo's data and limits."""
    ports = {"8000": str(free_port()), "8001": str(free_port())}
    # Not pytest's own folder: each session of it closes that to other accounts, and PostgreSQL never runs as root.
    made = tempfile.TemporaryDirectory(prefix="use-the-api-", ignore_cleanup_errors=True)
    with made as folder, running(Path(folder), *ports.values()):
        wait_for_demo_data(f"http://127.0.0.1:{ports['8000']}/api/")
        yield ADDRESS.sub(lambda found: found[1] + ports[found[2]], PAGE)


@contextlib.contextmanager
def running(folder, port, events_port):
    ignored = (*SERVER_VARIABLES, *LIMITS, "DEMO")
    kept = {name: value for name, value in os.environ.items() if name not in ignored}
    output = folder / "up.out"
    with output.open("w") as out:
        up = subprocess.Popen(
            [sys.executable, ROOT / "manage.py", "up", "--port", port, "--events-port", events_port, "--processes=1"],
            env={**kept, "READMODELS_DATA": str(folder / "data")},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        assert wait_until(lambda: STARTED in output.read_text() or up.poll() is not None, START_SECONDS)
        assert up.poll() is None, output.read_text()
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(up.pid, signal.SIGTERM)
        up.wait(STOP_SECONDS)


def wait_for_demo_data(url):
    """Whoever types is slower than the projector."""
    headers = {"Cache-Control": "max-stale=0.1", "Prefer": "wait=10"}
    with httpx.Client(base_url=url, headers=headers, timeout=START_SECONDS) as http:
        token = http.post("auth/login", json=STAFF).raise_for_status().json()["token"]
        http.headers["Authorization"] = f"Bearer {token}"
        for path in LISTS:
            assert wait_until(lambda path=path: http.get(path).status_code == 200, START_SECONDS), path


@pytest.fixture(scope="module")
def curl():
    """Installed by `make test`; where it could not be, this says what to do."""
    search = [Path(__file__).with_name("install.sh"), "--find"]
    found = subprocess.run(search, capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.fail(found.stderr, pytrace=False)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_block_is_run():
    assert {language for language, _ in BLOCK.findall(PAGE)} == {"console", "python", "pycon"}


def test_the_commands_print_what_the_page_says(curl, page, here):
    steps = COMMAND.findall(blocks(page, "console"))
    assert "".join(f"$ {command}\n{wanted}" for command, wanted in steps) == blocks(page, "console")
    numbered = [f"{command}\necho; echo '<done {number}>'\n" for number, (command, _) in enumerate(steps)]
    script, output = here / "script.sh", here / "output"
    script.write_text("".join(numbered))
    # Not a pipe: the page leaves streams open behind it, which would hold that for some seconds.
    with output.open("w") as out:
        bash = ["bash", "-e", script]
        done = subprocess.run(
            bash, stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=SHELL_SECONDS, check=False
        )
    printed = output.read_text()
    got = re.split(r"\n<done \d+>\n", printed)
    for (command, wanted), found in zip(steps, got, strict=False):
        assert same(wanted, found), f"{command}\nexpected:\n{wanted}\ngot:\n{found}"
    assert (done.returncode, len(got)) == (0, len(steps) + 1), printed


def test_the_session_prints_what_the_page_says(page, here):
    names = client(page)
    for example in doctest.DocTestParser().get_examples(blocks(page, "pycon")):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(example.source, "use-the-api", "single"), names)
        got = printed.getvalue()
        assert same(example.want, got), f"{example.source}\nexpected:\n{example.want}\ngot:\n{got}"


def test_the_client_comes_back_when_it_is_told_to_with_the_same_key(monkeypatch):
    busy = [httpx.Response(status, headers={"Retry-After": wait}) for status, wait in ((429, "9"), (503, "2"))]
    answers = [*busy, httpx.ConnectError("reset"), httpx.Response(201, json={})]
    person, requests, waits = answering(monkeypatch, *answers)
    assert person.ask("POST", "/orders", json={}).status_code == 201
    assert (waits, len({request.headers["Idempotency-Key"] for request in requests})) == ([9, 2, 1], 1)


def test_the_client_gives_up(monkeypatch):
    problem = {"code": "too_many_requests", "detail": "Try again in 900 s."}
    kind = {"Content-Type": "application/problem+json"}
    soon = [httpx.Response(503, json=problem, headers={**kind, "Retry-After": "1"})] * 5
    late = httpx.Response(429, json=problem, headers={**kind, "Retry-After": "900"})
    for answers, waited in ((soon, [1] * 4), ([late], [])):
        person, _, waits = answering(monkeypatch, *answers)
        with pytest.raises(Exception, match="too_many_requests"):
            person.ask("GET", "/account")
        assert waits == waited


def client(page):
    names = {}
    exec(compile(blocks(page, "python"), "client.py", "exec"), names)
    return names


def answering(monkeypatch, *answers):
    """The page's client at an API that gives these answers; what it sends then, and how long it waits each time."""
    requests, waits = [], []
    left = iter([httpx.Response(200, json={"user_id": 3, "token": "a"}), *answers])

    def answer(request):
        requests.append(request)
        found = next(left)
        if isinstance(found, Exception):
            raise found
        return found

    names = client(PAGE)
    monkeypatch.setattr(time, "sleep", waits.append)
    http = httpx.Client(base_url="http://127.0.0.1/api", transport=httpx.MockTransport(answer))
    with monkeypatch.context() as patch:
        patch.setattr(httpx, "Client", lambda **_: http)
        made = names["Client"]("http://127.0.0.1/api", "a@example.com", "b")
    requests.clear()
    return made, requests, waits
