"""The routes of the process that serves live updates: these, and no command or query."""

from django.urls import URLPattern, URLResolver, include, path, re_path

from orders.urls import live
from project import health, problems

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/", include((live, "live"))),
    path("health/live", health.live),
    re_path("", problems.not_found),
]

handler400 = "project.problems.bad_request"
handler404 = "project.problems.not_found"
handler500 = "project.problems.server_error"
