"""The ASGI entry point: live updates, in a process of their own. It needs Redis and no database."""

import os
import resource

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django.setup()

from readmodels.conf import conf  # noqa: E402
from readmodels.live_server import LiveServer  # noqa: E402

# Beside the streams: Redis, the log, libraries, clients that are refused.
OTHER_FILES = 256


def _allow_open_files() -> None:
    """Each stream is an open file; the soft limit of 1,024 is many a system's default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = conf().live_streams + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


_allow_open_files()
application = LiveServer("project.live_urls")
