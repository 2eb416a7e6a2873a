"""The WSGI entry point, for granian or any other server."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django = get_wsgi_application()

# Apps are loaded from here on.
from project import kept_open, shortcut  # noqa: E402
from readmodels import patience  # noqa: E402

application = shortcut.in_front_of(django)
kept_open.look_after_where_used()
patience.limit()
