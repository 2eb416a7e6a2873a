"""Django with the settings of the peers."""

import os

from django.core.wsgi import get_wsgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.peers.settings"
application = get_wsgi_application()
