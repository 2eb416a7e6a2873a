"""What the API document says of query endpoints: schemas from the declarations, headers from http.py.

Asks the views, each of which knows what it takes and answers; other methods of a combined view are described where they
are written.
"""

import re
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent

from readmodels.describing import HEADER as HEADER
from readmodels.describing import TEXT as TEXT


class QuerySchema(AutoSchema):
    """Describes GET of a query view; called by drf-spectacular once per operation."""

    view: Any  # a QueryView, or a view combined with one

    def get_operation_id(self) -> str:
        """A unique name: OrderDetail, CustomerOrders."""
        return self.view.operation() if self._is_query() else super().get_operation_id()

    def get_summary(self) -> str | None:
        """The same in words: Order detail, Customer orders."""
        if not self._is_query():
            return super().get_summary()
        return re.sub("(?<!^)(?=[A-Z])", " ", self.view.operation()).capitalize()

    def get_description(self) -> str:  # type: ignore[override]
        """What is answered, as the read model or the view says."""
        return self.view.describe() if self._is_query() else super().get_description()

    def get_request_serializer(self) -> Any:
        """Nothing: what GET asks for stands in parameters."""
        return None if self._is_query() else super().get_request_serializer()

    def get_response_serializers(self) -> Any:
        """The schema of what is answered."""
        return self.view.responses(self._component) if self._is_query() else super().get_response_serializers()

    def get_override_parameters(self) -> list[Any]:
        """Parameters and headers, asked and answered."""
        if not self._is_query():
            return super().get_override_parameters()
        return [*self.view.all_headers(), *self.view.parameters(self.path)]

    def get_auth(self) -> list[dict[str, Any]]:
        """What has to be shown; nothing for a public query."""
        return [] if self._is_query() and self.method in self.view.public_methods else super().get_auth()

    def _is_query(self) -> bool:
        return self.method == "GET"

    def _component(self, name: str, found: dict[str, Any]) -> dict[str, Any]:
        component = ResolvedComponent(name, ResolvedComponent.SCHEMA, found, name)  # type: ignore[no-untyped-call]
        self.registry.register_on_missing(component)
        return dict(component.ref)
