"""One running system for the folder; each test begins with it well and leaves the fault behind."""

from collections.abc import Iterator

import pytest
from django.db import connection

from readmodels.store import Store
from tests.faults.system import System
from tests.servers import FOLDER


@pytest.fixture(scope="package")
def running(servers, django_db_setup, django_db_blocker) -> Iterator[System]:
    found = System(servers, Store(), FOLDER)
    yield found
    found.stop()


@pytest.fixture
def system(running: System, django_db_blocker) -> Iterator[System]:
    with django_db_blocker.unblock():
        running.make_well()
        yield running
        connection.close()
