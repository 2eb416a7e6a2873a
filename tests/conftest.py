"""Fixtures for tests on the real servers that tests/servers.py starts."""

import threading
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import setup_databases, teardown_databases

from readmodels import connection as redis_connection
from readmodels import projector, query, testing
from readmodels.conf import conf
from readmodels.errors import ReadModelError
from readmodels.store import Store


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment, django_db_blocker, django_db_modify_db_settings) -> Iterator[None]:
    """The test database; pytest-django's own fixture makes it only for tests that carry its mark."""
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False, aliases=["default"])
        yield
        teardown_databases(made, verbosity=0)


@pytest.fixture
def store(django_db_setup, django_db_blocker) -> Iterator[Store]:
    """An empty write model, empty read models; commits are real, nothing projects by itself."""
    with django_db_blocker.unblock():
        found = Store()
        redis_connection.broker().flushdb()
        query.reader.cache_clear()
        testing.reset(found)
        yield found
        connection.close()


@pytest.fixture
def configured() -> Iterator[Callable[..., None]]:
    """Call it with settings of the engine by name; they hold until the test ends."""
    with pytest.MonkeyPatch.context() as patch:

        def configure(**changed: object) -> None:
            patch.setattr(settings, "READMODELS", {**settings.READMODELS, **changed})
            conf.cache_clear()

        yield configure
    conf.cache_clear()


@pytest.fixture
def projecting(store: Store) -> Iterator[Store]:
    """The same, with a projector at work in the background until the test ends."""
    is_over = threading.Event()

    def project() -> None:
        while not is_over.wait(0.005):
            try:
                projector.settle(store)
            except ReadModelError:
                continue
        connection.close()

    thread = threading.Thread(target=project, name="projector")
    thread.start()
    yield store
    is_over.set()
    thread.join()
