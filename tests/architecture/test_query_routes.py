"""What holds for every query route of the URLconf: methods, parameters, media types, headers, and the API document."""

import json

import pytest
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator

from orders.batch.models import ImportJob
from readmodels.testing import drain
from tests.api import body, client_of, person
from tests.architecture.test_queries_run_no_sql import ELSEWHERE, PUBLIC, SAMPLES
from tests.rows import add_line, add_order, add_product

# The index and the API document are no queries of read models.
QUERIES = sorted(set(SAMPLES) - {"api", "api/", "api/schema", "api/docs", "api/redoc"})
EXPORTS = ["api/orders/export"]
LIVE = sorted(ELSEWHERE)
JSON = sorted(set(QUERIES) - set(EXPORTS) - set(LIVE))


@pytest.fixture
def staff(store):
    add_line(add_order(person("ada")), add_product(sku="A"))
    ImportJob.objects.create(format="csv", bytes=1, lines=1)
    found = client_of(person("sam", is_staff=True))
    drain(store)
    return found


@pytest.mark.parametrize("route", QUERIES)
def test_unknown_method_is_405_and_allow_names_the_known(staff, route):
    response = staff.put(SAMPLES[route].partition("?")[0], {})
    assert response.status_code == 405
    assert {"GET", "HEAD", "OPTIONS"} <= set(response["Allow"].split(", "))
    assert response["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("route", QUERIES)
def test_unknown_parameter_is_400_and_named(staff, route):
    url = SAMPLES[route]
    response = staff.get(f"{url}{'&' if '?' in url else '?'}colour=red")
    assert response.status_code == 400
    assert [each["field"] for each in body(response)["fields"]] == ["colour"]


@pytest.mark.parametrize("route", QUERIES)
def test_media_type_that_is_not_there_is_406(staff, route):
    response = staff.get(SAMPLES[route], headers={"Accept": "image/png"})
    assert (response.status_code, response["Content-Type"]) == (406, "application/problem+json")


@pytest.mark.parametrize("route", JSON)
def test_head_is_get_without_a_body(staff, route):
    got, head = staff.get(SAMPLES[route]), staff.head(SAMPLES[route])
    assert (head.status_code, head.content) == (200, b"")
    assert {name: head[name] for name in ("ETag", "Vary", "Content-Type")} == {
        name: got[name] for name in ("ETag", "Vary", "Content-Type")
    }


@pytest.mark.parametrize("route", JSON)
def test_every_answer_has_an_etag_its_age_and_who_may_keep_it(staff, route):
    response = staff.get(SAMPLES[route])
    assert {"ETag", "Read-Model-Version", "Read-Model-As-Of", "Read-Model-Lag"} <= set(response.headers)
    is_public = route in PUBLIC
    assert response["Cache-Control"].startswith("public" if is_public else "private, no-cache")
    assert ("Authorization" in response["Vary"]) is not is_public
    again = staff.get(SAMPLES[route], headers={"If-None-Match": response["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/api/orders/export/", "/api/orders/1/lines", "/api/orders/one", "/api/users/1/summary"]
)
def test_unknown_route_is_404(staff, path):
    response = staff.get(path)
    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")


def test_every_query_is_in_the_api_document(staff):
    documented = json.loads(staff.get("/api/schema").content)["paths"]
    paths = ["/" + route.replace("<int:", "{").replace("<str:", "{").replace(">", "}") for route in QUERIES]
    operations = [documented[path]["get"] for path in paths]
    assert all(each["description"] and each["responses"]["200"]["content"] for each in operations), operations
    names = [each["operationId"] for each in operations]
    assert len(set(names)) == len(names)


def test_lists_say_that_a_cursor_may_be_over(staff):
    documented = json.loads(staff.get("/api/schema").content)["paths"]
    assert "410" in documented["/api/products"]["get"]["responses"]
    assert "410" not in documented["/api/orders/{order_id}"]["get"]["responses"]


def test_api_document_is_made_without_warnings(staff):
    GENERATOR_STATS.reset()
    SchemaGenerator().get_schema(request=None, public=True)
    assert not GENERATOR_STATS
