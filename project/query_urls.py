"""The routes of the query service: those of the API that answer queries, without the commands that share an address."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, include, path, re_path
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request

from orders.urls import urlpatterns as of_orders
from project import health, problems
from readmodels.query_view import QueryView
from users.urls import urlpatterns as of_users


class QueriesOnly:
    """Before a view: other methods are refused at once. Who asks for those is looked up in a table."""

    http_method_names = ("get", "head", "options")

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Called for each request, first of all."""
        if str(request.method).lower() not in self.http_method_names:
            raise MethodNotAllowed(str(request.method))
        super().initial(request, *args, **kwargs)  # type: ignore[misc]  # of the view behind


def queries(patterns: Iterable[URLPattern]) -> Iterator[URLPattern]:
    """The addresses among these that answer queries, and answer nothing else here."""
    for each in patterns:
        view: Any = getattr(each.callback, "cls", None)
        if issubclass(view, QueryView):
            only: Any = type(view.__name__, (QueriesOnly, view), {"__doc__": view.__doc__})
            yield URLPattern(each.pattern, only.as_view(), each.default_args, each.name)


urlpatterns: list[URLPattern | URLResolver] = [
    path("api/", include([*queries(of_orders), *queries(of_users)])),
    re_path(r"^api(?:/|$)", problems.not_found),
    path("health/live", health.live),
    path("health/ready", health.ready),
]

handler400 = "project.problems.bad_request"
handler404 = "project.problems.not_found"
handler500 = "project.problems.server_error"
