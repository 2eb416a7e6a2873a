"""Django with the settings of the peer that has django-cacheops."""

import os

from django.core.wsgi import get_wsgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.peers.cacheops_settings"
application = get_wsgi_application()
