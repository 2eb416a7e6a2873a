"""Every route of the system."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView

from project import health, problems

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/", include("users.urls")),
    path("api/", include("orders.urls")),
    path("api/schema", SpectacularJSONAPIView.as_view(), name="schema"),
    path("api/docs", SpectacularSwaggerView.as_view(), name="docs"),
    # Django's own page for an unknown route is HTML, and not what is configured below while DEBUG is on.
    re_path(r"^api(?:/|$)", problems.not_found),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("admin/", admin.site.urls),
]

handler400 = "project.problems.bad_request"
handler404 = "project.problems.not_found"
handler500 = "project.problems.server_error"
