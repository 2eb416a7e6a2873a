"""Django with nothing in front of one view, which gets the document from Redis, for anybody."""

import os
import sys

import redis
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF=sys.modules[__name__], SECRET_KEY="unused")
client = redis.Redis.from_url(os.environ["REDIS_URL"])


def order(request: HttpRequest, order_id: int) -> HttpResponse:
    """The document."""
    body = client.get(f"bench:order:{order_id}")
    if body is None:
        return HttpResponse(status=404)
    return HttpResponse(body, content_type="application/json", headers={"Content-Length": len(body)})


urlpatterns = [path("api/orders/<int:order_id>", order)]
application = get_wsgi_application()
