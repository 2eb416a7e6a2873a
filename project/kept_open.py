"""When Django looks after what a thread keeps open, connections to a database and caches: at the start and the end of
each request, but not of the API's queries. They use none of it (tests/architecture/test_queries_run_no_sql.py), so it
stays as it was; looking took a sixth of the time of a query that is answered inside of Django.
"""

import threading
from collections.abc import Mapping
from typing import Any

from django.core.cache import close_caches
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, reset_queries
from rest_framework.permissions import SAFE_METHODS

from project.problems import is_api_path

_current = threading.local()


def look_after_where_used() -> None:
    """Called once in a process that serves by WSGI; whatever else answers requests does not come by here."""
    for look in (reset_queries, close_old_connections):
        request_started.disconnect(look)
    for look in (close_old_connections, close_caches):
        request_finished.disconnect(look)
    request_started.connect(_start, sender=WSGIHandler)
    request_finished.connect(_finish, sender=WSGIHandler)


def _start(environ: Mapping[str, Any], **of: Any) -> None:
    _current.is_query = environ["REQUEST_METHOD"] in SAFE_METHODS and is_api_path(environ["PATH_INFO"])
    if not _current.is_query:
        reset_queries()
        close_old_connections()


def _finish(**of: Any) -> None:
    if not getattr(_current, "is_query", False):
        close_old_connections()
        close_caches()
