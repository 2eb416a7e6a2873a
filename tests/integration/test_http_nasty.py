"""A list of nasty inputs, put into every place of every request that the API document knows: never a 5xx, and what is
refused is refused as a problem.
"""

import json
from urllib.parse import quote

import pytest
from drf_spectacular.generators import SchemaGenerator

from readmodels.testing import drain
from tests.api import access_of, client_of
from tests.rows import add_line, add_order, add_product, add_user

HUGE = "9" * 400
BEYOND = object()  # an integer of more digits than Python turns into text
TEXTS = [
    "",
    " ",
    "0",
    "-1",
    "1e3",
    "0x10",
    "١٢",  # digits, but not ASCII's
    str(2**31),
    str(2**63),
    str(2**64),
    HUGE,
    "null",
    "NaN",
    "true",
    "../../etc/passwd",
    "..",
    "%00",
    "\0",
    "\x7f\x1b[2J",
    "a\r\nSet-Cookie: x=1",
    "' OR 1=1 --",
    '"; DROP TABLE users_user; --',
    "{{7*7}}",
    "<script>alert(1)</script>",
    "\u202egnp.exe",
    "🏴" * 100,
    "ﬀ",
    "x" * 10_000,
    "2026-02-30",
    "0000-00-00",
    "99999-01-01",
    ",,,,",
    "1,1,1",
    "a=b&c=d;e",
    "{b000}:marker",
    "rm:{b000}:pointers",
]
VALUES = [
    *TEXTS,
    None,
    True,
    0,
    -1,
    1.5,
    1e300,
    2**63,
    BEYOND,
    [],
    [[]],
    [None],
    {},
    {"": ""},
    {"__proto__": {"x": 1}},
    [{"sku": "A", "quantity": 1}] * 501,
    [{"sku": ["A"], "quantity": "1"}],
]
HEADERS = [text for text in TEXTS if text.isascii() and text.isprintable()] + ["é", "W/", '"', '"1"' * 500, "a=" * 999]


@pytest.fixture
def client(store, settings):
    # Of thousands of passwords nearly all are wrong, and each takes argon2 some 50 ms to say so.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    add_line(add_order(add_user()), add_product(sku="A"))
    # A superuser's id is not one that the texts name.
    superuser = add_user(id=2**40, is_staff=True, is_superuser=True)
    found = client_of(None)

    def log_in() -> None:
        found.credentials(HTTP_AUTHORIZATION=f"Bearer {access_of(superuser)}")
        drain(store)

    found.log_in = log_in
    log_in()
    return found


def operations():
    """(path, method, (document, operation)) of the whole document."""
    document = json.loads(json.dumps(SchemaGenerator().get_schema(request=None, public=True), default=str))
    for path, methods in sorted(document["paths"].items()):
        for method, operation in methods.items():
            yield pytest.param(path, method, (document, operation), id=f"{method.upper()} {path}")


OPERATIONS = list(operations())


def places(operation, place):
    return [each["name"] for each in operation.get("parameters", []) if each["in"] == place]


def body_fields(document, operation):
    """The names of the fields that the operation's body has."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    return list(document["components"]["schemas"].get(name, {}).get("properties", {}))


def filled(path, name=None, text="1"):
    """The path with its variables set to 1, or A for a code; this one to the text."""
    for each in path.split("{")[1:]:
        variable = each.partition("}")[0]
        value = text if variable == name else "A" if variable == "sku" else "1"
        path = path.replace(f"{{{variable}}}", quote(value, safe=""))
    return path


def check(response):
    assert response.status_code < 500, (response.status_code, response.content[:300])
    if response.status_code >= 400:
        assert response["Content-Type"] == "application/problem+json", response.content[:300]
    assert b"Traceback" not in response.getvalue()  # which takes in a stream whole
    response.close()
    assert "Set-Cookie" not in response.headers


def send(client, method, path, content=b"", **rest):
    response = client.generic(method.upper(), path, content, content_type="application/json", **rest)
    check(response)
    if response.status_code == 401:  # what was sent before has logged it out
        client.log_in()


@pytest.mark.parametrize(("path", "method", "of"), OPERATIONS)
def test_nothing_in_the_address_breaks_it(client, path, method, of):
    for name in places(of[1], "path"):
        for text in TEXTS:
            send(client, method, filled(path, name, text))
    for name in [*places(of[1], "query"), "unknown"]:
        for text in TEXTS:
            send(client, method, f"{filled(path)}?{name}={quote(text)}")
            send(client, method, f"{filled(path)}?{quote(text)}={name}&{name}=&{name}={quote(text)}")


@pytest.mark.parametrize(("path", "method", "of"), OPERATIONS)
def test_nothing_in_the_headers_breaks_it(client, path, method, of):
    for name in [*places(of[1], "header"), "Accept", "Content-Length", "traceparent", "X-Forwarded-For", "Range"]:
        for text in HEADERS:
            if name != "Content-Length" or not text.isdecimal():
                send(client, method, filled(path), headers={name: text})


@pytest.mark.parametrize(("path", "method", "of"), OPERATIONS)
def test_nothing_in_the_body_breaks_it(client, path, method, of):
    fields = body_fields(*of)
    for value in VALUES:
        content = json.dumps(value) if value is not BEYOND else "9" * 4000
        send(client, method, filled(path), content.encode())
        for field in fields:
            send(client, method, filled(path), f'{{"{field}": {content}}}'.encode())
            others = "".join(f', "{other}": "x"' for other in fields if other != field)
            send(client, method, filled(path), f'{{"{field}": {content}{others}}}'.encode())
