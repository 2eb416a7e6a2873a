"""The tests' own PostgreSQL and Redis: one set per test process, started at the first test that asks for them.

Loaded with `-p` in pyproject.toml, before pytest-django reads the settings. The environment's own addresses are
overwritten on purpose: no test can reach, and empty, a database that somebody uses.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from project import env
from project.embedded import Servers

FOLDER = Path(tempfile.mkdtemp(prefix="readmodels-test-"))
SERVERS = Servers(FOLDER, is_durable=False)
os.environ.update(SERVERS.urls, READMODELS_DATA=str(FOLDER))
# Counted as anywhere, but nobody is refused: tests ask as quickly as they can, all from one address.
os.environ.update(dict.fromkeys(env.LIMITS, "1000000/60"))


def remove() -> None:
    SERVERS.stop()
    shutil.rmtree(FOLDER, ignore_errors=True)


# For an end before pytest is configured; a pytest-xdist worker ends without it, and comes by pytest_unconfigure.
atexit.register(remove)


class Fixtures:
    """Registered late, so that these fixtures stand before pytest-django's of the same name."""

    @pytest.fixture(scope="session")
    @classmethod
    def servers(cls) -> Iterator[Servers]:
        """The running servers; `servers.postgres.kill()` and `.start()` are at a test's hands."""
        SERVERS.start()
        yield SERVERS
        SERVERS.stop()

    @pytest.fixture(scope="session")
    @classmethod
    def django_db_modify_db_settings(cls, django_db_modify_db_settings_parallel_suffix, servers):
        """PostgreSQL runs before pytest-django makes the test database."""


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Fixtures())


def pytest_unconfigure() -> None:
    remove()
