"""What stands at the API's root: its routes, for whoever opens the address that `manage.py up` prints."""

from collections import defaultdict

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.schemas.generators import EndpointEnumerator

from readmodels.api import ApiView


class ApiIndex(ApiView):
    """The routes of the API with their methods, for anybody; read off the URLconf, so none is forgotten."""

    # Not an operation of the API: the document, which says more, has its own address.
    schema = None
    public_methods = frozenset({"GET", "HEAD"})

    def get(self, request: Request) -> Response:
        """Every route, and where they are described."""
        routes = {path: sorted(methods) for path, methods in sorted(_methods().items())}
        return Response({"docs": "/api/docs", "schema": "/api/schema", "routes": routes})


def _methods() -> dict[str, set[str]]:
    found = defaultdict(set)
    for path, method, _ in EndpointEnumerator().get_api_endpoints():
        found[path].add(method)
    return found
