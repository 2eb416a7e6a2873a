"""The Celery application: `celery -A worker worker`, `celery -A worker beat`."""

import os

from celery import Celery
from kombu.transport.redis import Channel

from worker.upkeep import Upkeep

# Messages carry nothing, so none is put back into the broker when the connection to it breaks. With kombu 5.7 the
# attempt ended the worker: "'NoneType' object has no attribute 'hostname'", in every other loss of a busy broker.
Channel.do_restore = False

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")


def broker_url(url: str) -> str:
    """The broker's address as Celery takes it, which calls a unix socket by another scheme than redis-py.

    Of a rediss:// that says nothing of certificates Celery would take any; redis-py takes none that it can't verify.
    """
    if url.startswith("rediss://") and "ssl_cert_reqs=" not in url:
        url = f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required"
    return url.replace("unix://", "redis+socket://").replace("?db=", "?virtual_host=")


if "CELERY_BROKER_URL" in os.environ:
    # Celery's command line has put BROKER_URL there, past the settings, before it loads this.
    os.environ["CELERY_BROKER_URL"] = broker_url(os.environ["CELERY_BROKER_URL"])

app = Celery("worker")
app.config_from_object("worker.config")
app.steps["worker"].add(Upkeep)
app.autodiscover_tasks()
