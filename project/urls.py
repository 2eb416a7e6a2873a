"""Every route of the system."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularRedocView, SpectacularSwaggerSplitView

from project import health, problems
from project.api_index import ApiIndex

admin.site.site_header = "Orders: administration"
admin.site.site_title = "Orders"

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/", include("orders.urls")),
    path("api/", include("users.urls")),
    path("", RedirectView.as_view(pattern_name="docs")),
    path("api", ApiIndex.as_view()),
    path("api/", ApiIndex.as_view()),
    path("api/schema", SpectacularJSONAPIView.as_view(), name="schema"),
    # Its script is a file of its own: no page runs an inline one.
    path("api/docs", SpectacularSwaggerSplitView.as_view(), name="docs"),
    path("api/redoc", SpectacularRedocView.as_view(template_name="redoc.html"), name="redoc"),
    # Django's own page for an unknown route is HTML, and not what is configured below while DEBUG is on.
    re_path(r"^api(?:/|$)", problems.not_found),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
]

handler400 = "project.problems.bad_request"
handler404 = "project.problems.not_found"
handler500 = "project.problems.server_error"
