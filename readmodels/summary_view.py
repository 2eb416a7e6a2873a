"""The measures of one partition of a collection, without its rows."""

import json
from typing import Any, ClassVar

from django.http import Http404, HttpResponse
from rest_framework.request import Request

from readmodels import http, parameters, schema
from readmodels.declare import Collection
from readmodels.pages import measures
from readmodels.query import reader
from readmodels.query_view import Component, QueryView


class SummaryView(QueryView):
    """What a partition's rows count and sum to, in all and by filter value; the partition stands in the address."""

    read_model: ClassVar[type[Collection]]
    # The address's variable that names the partition.
    partition: ClassVar[str]

    def get(self, request: Request, **address: Any) -> HttpResponse:
        """The measures; all 0 where the partition is empty."""
        parameters.only(request, ())
        partition, wish = address[self.partition], http.asked(request)
        if not self.may_list(request.user, partition):
            raise Http404
        [page] = reader().measures(self.read_model, [partition], **wish)
        body = json.dumps(measures(page, self.read_model)).encode()
        return self._respond(request, body, http.content_etag(body), page.freshness, wish)

    def may_list(self, principal: Any, partition: Any) -> bool:
        """Whether the principal may read of this partition; called before the read. Nobody may until a view says
        who.
        """
        return False

    def operation(self) -> str:
        """The read model's name, and that it is a summary."""
        return f"{self.read_model.__name__}Summary"

    def describe(self) -> str:
        """What is counted and summed."""
        return f"Counts and sums alone of: {super().describe()}"

    def answer(self, component: Component) -> dict[str, Any]:
        """The measures."""
        return component(self.operation(), schema.summary_schema(self.read_model))
