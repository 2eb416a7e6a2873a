"""Several documents by their keys, in one round trip; and one address for what is asked for in different ways."""

import json
from typing import Any, ClassVar

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from readmodels import describing, http, parameters, schema, selection
from readmodels.declare import Document
from readmodels.query import reader
from readmodels.query_view import Component, QueryView
from readmodels.waiting import oldest


class SeveralView(QueryView):
    """The documents whose keys a parameter lists. What may not be read is missing exactly like what does not exist."""

    read_model: ClassVar[type[Document]]
    # The parameter that lists the keys.
    keys: ClassVar[str]

    def get(self, request: Request) -> HttpResponse:
        """The documents as stored, in the order asked for, and the keys of those that there are not."""
        given = parameters.only(request, (self.keys, selection.FIELDS), required=(self.keys,))
        keys = parameters.keys(self.read_model, self.keys, given[self.keys])
        chosen, wish = selection.parse(self.read_model, given.get(selection.FIELDS)), http.asked(request)

        def may_read(body: bytes) -> bool:
            return self.may_read(request.user, body)

        answers = reader().documents(self.read_model, keys, may_read=may_read, **wish)
        found = [answer.body for answer in answers if answer.body is not None]
        missing = [key for key, answer in zip(keys, answers, strict=True) if answer.body is None]
        results = b", ".join(chosen.of(body) if chosen else body for body in found)
        body = b'{"results": [' + results + b"], " + json.dumps({"missing": missing})[1:].encode()
        freshness = oldest([answer.freshness for answer in answers])
        return self._respond(request, body, http.content_etag(body), freshness, wish)

    def may_read(self, principal: Any, body: bytes) -> bool:
        """Whether the principal may read this document; called for each that is found, again and again while they are
        waited for. Nobody may until a view says who.
        """
        return False

    def operation(self) -> str:
        """The read model's name in the plural."""
        return f"{self.read_model.__name__}s"

    def describe(self) -> str:
        """What is answered, and what becomes of the rest."""
        found = f"Several documents by `{self.keys}`, in that order, such as `{self.keys}=3,1,2`. "
        return f"{found}What there is not, or not for the asker, is listed as `missing`. {super().describe()}"

    def parameters(self, path: str) -> list[OpenApiParameter]:
        """The keys and the choice of entries."""
        return [describing.key_list(self.read_model, self.keys), describing.chosen_fields(self.read_model)]

    def answer(self, component: Component) -> dict[str, Any]:
        """The documents and the missing keys."""
        document = self._whole_or_part(self.read_model.__name__, component)
        key = schema.COUNT if parameters.is_by_number(self.read_model) else describing.TEXT
        return component(self.operation(), schema.several_schema(document, key))


class EitherView(QueryView):
    """One address that is asked in several ways, of which a request's parameters choose one."""

    # What the API document calls it.
    name: ClassVar[str]
    # The views by the parameter that chooses them.
    ways: ClassVar[dict[str, type[QueryView]]]

    def get(self, request: Request, **address: Any) -> HttpResponse:
        """What the chosen view answers."""
        chosen = [name for name in self.ways if name in request.GET]
        if len(chosen) != 1:
            text = f"One of {', '.join(self.ways)} is required, and only one."
            raise ValidationError({name: [text] for name in chosen or self.ways}, code="one_of")
        view: Any = self.ways[chosen[0]]()
        response: HttpResponse = view.get(request, **address)
        return response

    def operation(self) -> str:
        """The address's name."""
        return self.name

    def describe(self) -> str:
        """What each way answers."""
        found = [f"With `{name}`: {view().describe()}" for name, view in self.ways.items()]
        return "\n\n".join([*found, "One of them is required, and only one."])

    def parameters(self, path: str) -> list[OpenApiParameter]:
        """Those of all ways, none of them required; a parameter of several ways as the first has it."""
        found: dict[str, OpenApiParameter] = {}
        for view in self.ways.values():
            for each in view().parameters(path):
                each.required = False
                found.setdefault(each.name, each)
        return list(found.values())

    def answer(self, component: Component) -> dict[str, Any]:
        """What one of the ways answers."""
        return {"anyOf": [view().answer(component) for view in self.ways.values()]}
