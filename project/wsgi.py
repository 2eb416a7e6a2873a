"""The WSGI entry point, for granian or any other server."""

import os

from django.core.wsgi import get_wsgi_application

from readmodels import patience

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
application = get_wsgi_application()
patience.limit()
