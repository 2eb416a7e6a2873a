"""Many orders with one request: the body is taken in as a whole or not at all, then made into orders chunk by chunk."""

import json
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from io import BytesIO

import psycopg
import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from orders.batch import expiring, placing, working
from orders.batch.models import ImportJob, ImportPart
from orders.models import Order, Product
from project.child import wait_until
from readmodels import chores, testing
from tests.api import body, client_of, person
from tests.rows import add_product
from users.erasure import erase_customer

NDJSON, CSV = "application/x-ndjson", "text/csv"
HEADER = "external_ref,customer_id,placed_at,sku,quantity"


@pytest.fixture
def shop(store):
    ada = person("ada")
    clients = {"customer": client_of(ada), "staff": client_of(person("sam", is_staff=True)), "nobody": client_of(None)}
    found = {"ada": ada, "store": store, **clients}
    for sku in "AB":
        add_product(sku=sku, price_cents=250, stock=1000)
    return found


def order(**fields):
    return {"is_guest": True, "lines": [{"sku": "A", "quantity": 1}], **fields}


def send(shop, content, media_type=NDJSON, who="staff", **headers):
    content = content if isinstance(content, bytes) else content.encode()
    return shop[who].generic("POST", "/api/orders/import", content, content_type=media_type, **headers)


def send_orders(shop, *orders):
    response = send(shop, "\n".join(json.dumps(each) for each in orders))
    assert response.status_code == 202, response.content
    return response


def work(steps=1000):
    """So many chunks, or all there are."""
    return sum(1 for _ in range(steps) if working.step())


def report(shop, response):
    """What the job's page shows when all is projected."""
    testing.drain(shop["store"])
    found = shop["staff"].get(response["Location"])
    assert found.status_code == 200, found.content
    return body(found)


def finished(shop, response):
    work()
    found = report(shop, response)
    assert found["state"] == "done"
    assert not ImportPart.objects.exists()
    return found


def step_and_close():
    working.step()
    connection.close()


def is_waited_for():
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return cursor.fetchone() == (True,)


def rejections(found):
    return [(each["line"], each["code"]) for each in found["rejections"]]


# The way through


def test_import_is_answered_at_once_and_can_be_followed(shop):
    response = send_orders(shop, order(), order())
    job = body(response)
    assert response["Location"] == f"/api/orders/import/{job['id']}"
    assert (job["state"], job["lines"], Order.objects.count()) == ("waiting", 2, 0)
    assert report(shop, response)["state"] == "waiting"
    found = finished(shop, response)
    assert (found["lines_read"], found["orders_made"], found["orders_rejected"]) == (2, 2, 0)
    assert found["created_at"] <= found["started_at"] <= found["finished_at"]


def test_token_of_the_import_shows_its_job(shop):
    response = send_orders(shop, order())
    testing.drain(shop["store"])
    token = {"Consistency-Token": response["Consistency-Token"]}
    assert shop["staff"].get(response["Location"], headers=token).status_code == 200


def test_orders_are_as_if_placed_over_http(shop):
    response = send_orders(
        shop,
        order(
            customer_id=shop["ada"].pk, lines=[{"sku": "A", "quantity": 3}, {"sku": "B", "quantity": 1}], is_guest=False
        ),
    )
    finished(shop, response)
    made = Order.objects.get()
    assert (made.customer_id, made.total_cents, made.status, made.lines.count()) == (shop["ada"].pk, 1000, "placed", 2)
    assert list(Product.objects.order_by("sku").values_list("stock", flat=True)) == [997, 999]
    testing.assert_law(shop["store"])


def test_order_may_name_its_time_and_what_it_is_called_elsewhere(shop):
    finished(shop, send_orders(shop, order(external_ref="X-1", placed_at="2026-01-31T13:00:00+01:00")))
    made = Order.objects.get()
    assert (made.external_ref, made.placed_at) == ("X-1", datetime(2026, 1, 31, 12, tzinfo=UTC))


def test_csv_has_an_order_in_the_lines_that_follow_each_other(shop):
    rows = [
        HEADER,
        f"X-1,{shop['ada'].pk},2026-01-31T12:00:00Z,A,2",
        f"X-1,{shop['ada'].pk},2026-01-31T12:00:00Z,B,1",
        'X-2,,,"A",1',
        "",
    ]
    response = send(shop, "\ufeff" + "\r\n".join(rows), "text/csv; charset=UTF-8")
    found = finished(shop, response)
    assert (found["orders_made"], found["lines_read"], found["format"]) == (2, 4, "csv")
    first, second = Order.objects.order_by("external_ref")
    assert (first.customer_id, first.total_cents, first.lines.count()) == (shop["ada"].pk, 750, 2)
    assert (second.customer_id, second.total_cents) == (None, 250)


def test_columns_of_a_csv_come_in_any_order(shop):
    assert finished(shop, send(shop, "quantity,sku,customer_id,external_ref\n2,A,,X-1", CSV))["orders_made"] == 1


def test_empty_lines_are_passed_over(shop):
    found = finished(shop, send(shop, f"\n{json.dumps(order())}\n \r\n\n{json.dumps(order())}\n\n"))
    assert (found["orders_made"], found["lines_read"], found["lines"]) == (2, 6, 6)


def test_import_that_is_sent_again_under_its_key_is_made_once(shop):
    key = {"Idempotency-Key": "till 7, Monday"}
    lines = [json.dumps(order(external_ref=name)) for name in ("X-1", "X-2")]
    first, again = (send(shop, "\n".join(lines), headers=key) for _ in range(2))
    assert (again.status_code, again["Idempotent-Replayed"], again.content) == (202, "true", first.content)
    assert again["Location"] == first["Location"]
    other = send(shop, lines[0], headers=key)
    assert (other.status_code, body(other)["code"]) == (422, "idempotency_key_reused")
    assert ImportJob.objects.count() == 1


# What is rejected stops nothing


REJECTED = [
    ("{", "parse_error", "Not JSON"),
    ('{"is_guest": true, "is_guest": true}', "parse_error", "a key stands twice"),
    ('{"sku": "\\u0000"}', "parse_error", "NUL"),
    ("[" * 100_000, "parse_error", "Nested"),
    ("[]", "invalid_input", "Invalid data"),
    (json.dumps({"lines": [{"sku": "A", "quantity": 1}]}), "invalid_input", "customer_id: Required, or is_guest"),
    (json.dumps(order(colour="red")), "invalid_input", "colour: Unknown field."),
    (json.dumps(order(lines=[{"sku": "A", "quantity": "1"}])), "invalid_input", "lines.0.quantity"),
    (json.dumps(order(lines=[])), "invalid_input", "lines"),
    (json.dumps(order(customer_id=1)), "invalid_input", "is_guest"),
    (json.dumps(order(customer_id=2**63, is_guest=False)), "invalid_input", "customer_id"),
    (json.dumps(order(placed_at="2026-01-31T12:00:00")), "invalid_input", "placed_at: A time with its zone"),
    (json.dumps(order(placed_at="2026-01-31")), "invalid_input", "placed_at: A time with its zone"),
    (json.dumps(order(placed_at="0001-01-01T00:00:00+14:00")), "invalid_input", "from 1970 to now"),
    (json.dumps(order(placed_at="9999-12-31T23:59:59-14:00")), "invalid_input", "from 1970 to now"),
    (json.dumps(order(placed_at=5)), "invalid_input", "placed_at"),
    (json.dumps(order(external_ref="x" * 65)), "invalid_input", "external_ref"),
    (json.dumps(order(external_ref="x\u0085y")), "invalid_input", "external_ref: Holds control"),
    (json.dumps(order(customer_id=999, is_guest=False)), "unknown_customer", "no customer 999"),
    (json.dumps(order(lines=[{"sku": "Z\u200b\u0085Z", "quantity": 1}])), "unknown_products", "no product Z?"),
    (json.dumps(order(lines=[{"sku": "A", "quantity": 1001}])), "not_enough_stock", "999 are in stock"),
]


def test_rejected_line_is_told_of_and_stops_no_other(shop):
    lines = [json.dumps(order()), *(line for line, _, _ in REJECTED), json.dumps(order())]
    found = finished(shop, send(shop, "\n".join(lines)))
    assert (found["orders_made"], found["orders_rejected"]) == (2, len(REJECTED))
    assert rejections(found) == [(number, code) for number, (_, code, _) in enumerate(REJECTED, start=2)]
    told = [each["detail"] for each in found["rejections"]]
    assert [text for text, (_, _, detail) in zip(told, REJECTED, strict=True) if detail not in text] == []


def test_rejected_order_of_a_csv_names_the_line_at_fault(shop):
    rows = [HEADER, "X-1,,,A,1", "X-1,,,A,two", "X-2,,,A,1", f"X-2,{shop['ada'].pk},,A,1", ",,,A,1", "X-3,,,A,1"]
    found = finished(shop, send(shop, "\n".join(rows), CSV))
    assert found["orders_made"] == 1
    assert rejections(found) == [(3, "invalid_input"), (5, "differing_lines"), (6, "invalid_input")]


def test_order_of_a_csv_with_too_many_lines_is_rejected(shop):
    rows = [HEADER, *["X-1,,,A,1"] * 2000, "X-2,,,A,1"]
    found = finished(shop, send(shop, "\n".join(rows), CSV))
    assert (found["orders_made"], rejections(found)) == (1, [(2, "invalid_input")])


def test_stock_is_given_to_who_comes_first(shop):
    wanted = [order(lines=[{"sku": "A", "quantity": quantity}]) for quantity in (600, 600, 400)]
    found = finished(shop, send_orders(shop, *wanted))
    assert (found["orders_made"], rejections(found)) == (2, [(2, "not_enough_stock")])
    assert Product.objects.get(sku="A").stock == 0


def test_order_that_is_there_is_not_made_again(shop):
    named = [order(external_ref="X-1"), order(external_ref="X-2"), order(external_ref="X-1")]
    assert rejections(finished(shop, send_orders(shop, *named))) == [(3, "external_ref_taken")]
    again = finished(shop, send_orders(shop, *named))
    assert (again["orders_made"], again["orders_rejected"], Order.objects.count()) == (0, 3, 2)
    assert Product.objects.get(sku="A").stock == 998


def test_first_hundred_rejections_are_told(shop):
    found = finished(shop, send(shop, "{\n" * 250))
    assert found["orders_rejected"] == 250
    assert [each["line"] for each in found["rejections"]] == list(range(1, 101))


def test_fault_of_the_code_rejects_its_line_only(shop, monkeypatch):
    placed = placing.place_order

    def place(**wanted):
        return 1 / 0 if wanted["external_ref"] == "X-2" else placed(**wanted)

    monkeypatch.setattr(placing, "place_order", place)
    found = finished(shop, send_orders(shop, *(order(external_ref=f"X-{n}") for n in (1, 2, 3))))
    assert (found["orders_made"], rejections(found)) == (2, [(2, "server_error")])
    assert "division" not in found["rejections"][0]["detail"]


# Chunks, and what ends them


def test_chunk_that_was_cut_off_leaves_nothing_and_is_done_again(shop, monkeypatch):
    monkeypatch.setattr(working, "CHUNK_ORDERS", 2)
    response = send_orders(shop, *(order() for _ in range(5)))
    assert working.step()
    with monkeypatch.context() as patched:
        patched.setattr(working, "_note", lambda *rest: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            working.step()
    assert Order.objects.count() == 2
    assert report(shop, response)["lines_read"] == 2
    assert finished(shop, response)["orders_made"] == Order.objects.count() == 5


def test_chunk_ends_when_its_time_is_up(shop, monkeypatch):
    monkeypatch.setattr(working, "CHUNK_SECONDS", 0)
    response = send_orders(shop, *(order() for _ in range(3)))
    assert working.step()
    assert Order.objects.count() == 1
    assert finished(shop, response)["orders_made"] == Order.objects.count() == 3


def test_payload_in_many_parts_is_read_to_its_end(shop, monkeypatch):
    monkeypatch.setattr("orders.batch.starting.PART_BYTES", 200)
    monkeypatch.setattr(working, "CHUNK_ORDERS", 3)
    response = send_orders(shop, *(order(external_ref=f"X-{n}") for n in range(20)))
    assert ImportPart.objects.count() > 3
    working.step()
    left = ImportPart.objects.count()
    assert finished(shop, response)["orders_made"] == 20
    assert 0 < left < 20


def test_csv_order_that_spans_chunks_and_parts_is_one(shop, monkeypatch):
    monkeypatch.setattr("orders.batch.starting.PART_BYTES", 30)
    monkeypatch.setattr(working, "CHUNK_LINES", 2)
    rows = [HEADER, *["X-1,,,A,1"] * 7, *["X-2,,,A,1"] * 3]
    finished(shop, send(shop, "\n".join(rows), CSV))
    assert [made.lines.count() for made in Order.objects.order_by("external_ref")] == [7, 3]


def test_payload_that_ends_its_worker_is_given_up(shop, monkeypatch):
    response = send_orders(shop, order())
    other = send_orders(shop, order())
    with monkeypatch.context() as patched:
        patched.setattr(working, "_do_chunk", lambda job_id: 1 / 0)
        for _ in range(working.MOST_ATTEMPTS):
            with pytest.raises(ZeroDivisionError):
                working.step()
    work()
    found = report(shop, response)
    assert (found["state"], found["failure"]) == ("failed", "Given up after line 0: the worker ended 5 times there.")
    assert finished(shop, other)["orders_made"] == 1


def test_server_that_is_away_is_no_fault_of_the_payload(shop, monkeypatch):
    def away(job_id):
        raise OperationalError("the server is away")

    response = send_orders(shop, order())
    with monkeypatch.context() as patched:
        patched.setattr(working, "_do_chunk", away)
        for _ in range(3 * working.MOST_ATTEMPTS):
            with pytest.raises(OperationalError):
                working.step()
    assert finished(shop, response)["orders_made"] == 1


def test_chunk_that_waits_for_a_product_holds_no_later_one(shop, monkeypatch):
    """As an order over HTTP does; else the two could wait for each other."""
    monkeypatch.setattr(placing, "LOCK_SECONDS", 60)
    send_orders(shop, *(order(lines=[{"sku": sku, "quantity": 1}]) for sku in "BA"))
    locking = "SELECT 1 FROM orders_product WHERE sku = %s FOR NO KEY UPDATE"
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute(locking, ["A"])
        chunk = threading.Thread(target=step_and_close)
        chunk.start()
        assert wait_until(is_waited_for, 30)
        other.execute(f"{locking} NOWAIT", ["B"])
    chunk.join()
    assert Order.objects.count() == 2


def test_lock_is_not_waited_for_too_long(shop, monkeypatch):
    monkeypatch.setattr(placing, "LOCK_SECONDS", 0.05)
    response = send_orders(shop, order())
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("SELECT 1 FROM orders_product FOR NO KEY UPDATE")
        with pytest.raises(OperationalError, match="lock timeout"):
            working.step()
    assert finished(shop, response)["orders_made"] == 1


def test_chore_makes_the_orders(shop):
    response = send_orders(shop, order())
    assert wait_until(lambda: "orders.import" in chores.do_due(shop["store"]), 30)
    assert report(shop, response)["state"] == "done"


def test_jobs_that_ended_long_ago_go(shop):
    old, new = send(shop, "{\n"), send_orders(shop, order())
    work()
    month = timezone.now() - timedelta(days=expiring.KEPT_DAYS, seconds=1)
    ImportJob.objects.filter(pk=body(old)["id"]).update(finished_at=month)
    assert expiring.step()
    assert not expiring.step()
    testing.drain(shop["store"])
    statuses = [shop["staff"].get(each["Location"]).status_code for each in (old, new)]
    assert statuses == [404, 200]


# What is refused as a whole


MALFORMED = [
    ("\n \n", NDJSON, "holds no order"),
    (HEADER, CSV, "holds no order"),
    (b'{}\n{"a": "\xff"}', NDJSON, "Line 2 is not UTF-8"),
    ('{"a": 1}'.encode("utf-16"), NDJSON, "Line 1 is not UTF-8"),
    (f"{HEADER}\nX-1,,,A".encode() + b"\xff,1", CSV, "Line 2 is not UTF-8"),
    (f"{HEADER}\nX-1,,,A", CSV, "Line 2 has 4 columns, the first line has 5"),
    (f"{HEADER}\n\u00a0\nX-1,,,A,1", CSV, "Line 2 has 1 columns"),
    (f'{HEADER}\nX-1,,,"A,1\nX-1,,,B",1', CSV, "Line 2 is not CSV"),
    ("external_ref,sku,quantity,colour,sku\n", CSV, "missing: customer_id; unknown: 'colour'; twice: sku"),
    ("\n", CSV, "missing: external_ref"),
]


def test_body_that_is_not_what_it_says_is_refused_whole(shop):
    for content, media_type, detail in MALFORMED:
        response = send(shop, content, media_type)
        assert (response.status_code, body(response)["code"]) == (400, "malformed_payload")
        assert detail in body(response)["detail"]
    assert not ImportJob.objects.exists()


def test_other_media_types_are_refused_by_name(shop):
    for media_type in ("application/json", "text/plain", "text/csv; charset=latin-1", "", "x"):
        response = send(shop, "{}", media_type)
        assert (response.status_code, body(response)["code"]) == (415, "unsupported_media_type")
        assert "application/x-ndjson and text/csv in UTF-8" in body(response)["detail"]
    assert send(shop, "{}", headers={"Content-Encoding": "gzip"}).status_code == 415


def test_body_without_a_length_is_refused(shop):
    response = send(shop, "{}", CONTENT_LENGTH="")
    assert (response.status_code, body(response)["code"]) == (411, "length_required")


def test_body_that_ends_early_leaves_nothing(shop):
    cut_off = {"wsgi.input": BytesIO(json.dumps(order()).encode()), "CONTENT_LENGTH": "1000"}
    response = send(shop, json.dumps(order()), **cut_off)
    assert (response.status_code, body(response)["code"]) == (400, "malformed_payload")
    assert not ImportJob.objects.exists()


def test_body_with_too_many_bytes_is_refused(shop, settings):
    settings.IMPORT_MAX_BYTES = 100
    response = send(shop, " " * 101)
    assert (response.status_code, body(response)["code"]) == (413, "too_large")
    assert "100 are accepted" in body(response)["detail"]


def test_body_with_too_many_lines_is_refused(shop, settings):
    settings.IMPORT_MAX_LINES = 2
    assert send(shop, "{}\n{}").status_code == 202
    response = send(shop, "{}\n{}\n{}")
    assert (response.status_code, body(response)["detail"]) == (413, "The body has more than 2 lines.")


def test_line_that_is_too_long_is_refused(shop):
    response = send(shop, "{}\n" + "x" * 3 * 2**20)
    assert (response.status_code, body(response)["detail"]) == (413, "Line 2 has more than 1048576 bytes.")


def test_full_disk_is_503(shop, monkeypatch):
    with closing(open("/dev/full", "wb")) as full:
        monkeypatch.setattr("orders.batch.receiving.TemporaryFile", lambda: full)
        response = send(shop, json.dumps(order()))
    assert (response.status_code, body(response)["code"], response["Retry-After"]) == (503, "no_room", "60")
    assert not ImportJob.objects.exists()


def test_body_may_be_longer_than_that_of_other_commands(shop):
    found = finished(shop, send(shop, f"{json.dumps(order())}\n{' ' * 1000}\n" + ("{}" + " " * 500_000 + "\n") * 4))
    assert (found["orders_made"], found["orders_rejected"]) == (1, 4)


# Who may


def test_support_alone_imports(shop):
    assert send(shop, "{}", who="customer").status_code == 403
    assert send(shop, "{}", who="nobody").status_code == 401
    assert not ImportJob.objects.exists()


def test_job_is_found_by_support_alone(shop):
    location = send_orders(shop, order())["Location"]
    testing.drain(shop["store"])
    foreign, absent = (shop["customer"].get(path) for path in (location, "/api/orders/import/999"))
    assert foreign.status_code == absent.status_code == 404
    assert body(foreign) | {"instance": ""} == body(absent) | {"instance": ""}
    assert shop["nobody"].get(location).status_code == 401


def test_rejection_forgets_who_is_erased(shop):
    response = send_orders(shop, order(lines=[{"sku": shop["ada"].email.upper(), "quantity": 1}]), order(colour="red"))
    assert "ADA@EXAMPLE.COM" in finished(shop, response)["rejections"][0]["detail"]
    erase_customer(user_id=shop["ada"].pk)
    assert [each["detail"] for each in report(shop, response)["rejections"]] == ["Erased.", "colour: Unknown field."]


def test_examples_in_the_api_document_are_accepted(shop):
    operation = body(shop["staff"].get("/api/schema"))["paths"]["/api/orders/import"]["post"]
    for media_type, described in operation["requestBody"]["content"].items():
        assert send(shop, described["schema"]["examples"][0], media_type).status_code == 202
