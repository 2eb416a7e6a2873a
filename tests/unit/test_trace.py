"""Which `traceparent` headers are taken up, by W3C Trace Context, and how a statement carries the trace."""

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from psycopg import sql

from readmodels import trace

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADER = f"00-{TRACE_ID}-{PARENT_ID}-01"
INVALID = {
    "nothing": "",
    "text": "nix",
    "upper case": HEADER.upper(),
    "no hex": HEADER.replace("a", "g"),
    "no trace": f"00-{'0' * 32}-{PARENT_ID}-01",
    "no parent": f"00-{TRACE_ID}-{'0' * 16}-01",
    "version ff": f"ff-{TRACE_ID}-{PARENT_ID}-01",
    "short trace": f"00-{TRACE_ID[1:]}-{PARENT_ID}-01",
    "short parent": f"00-{TRACE_ID}-{PARENT_ID[1:]}-01",
    "short flags": f"00-{TRACE_ID}-{PARENT_ID}-1",
    "no flags": f"00-{TRACE_ID}-{PARENT_ID}",
    "more than version 00 has": f"{HEADER}-more",
    "a dash more": f"{HEADER}-",
    "more of a later version without a dash": f"01-{TRACE_ID}-{PARENT_ID}-01more",
    "two headers": f"{HEADER},{HEADER}",
    "a space before": f" {HEADER}",
    "a line more": f"{HEADER}\n",
    "other digits": HEADER.replace("1", "\N{ARABIC-INDIC DIGIT ONE}"),
    "the end of a comment": f"{HEADER}'*/",
}


@pytest.mark.parametrize("flags", ["00", "01", "ff"])
def test_header_is_taken_up_as_it_is(flags):
    header = f"00-{TRACE_ID}-{PARENT_ID}-{flags}"
    assert trace.taken_up(header) == header


@pytest.mark.parametrize("header", INVALID.values(), ids=list(INVALID))
def test_invalid_header_is_not_taken_up(header):
    assert trace.taken_up(header) is None


@pytest.mark.parametrize("header", [f"01-{TRACE_ID}-{PARENT_ID}-03", f"cc-{TRACE_ID}-{PARENT_ID}-01-what-is-to-come"])
def test_later_version_is_understood_as_far_as_it_is_known(header):
    assert trace.taken_up(header) == HEADER


def test_trace_begun_is_a_valid_one_of_its_own():
    assert trace.taken_up(trace.begun()) != trace.taken_up(trace.begun()) is not None


def seen_by_a_request(**headers: str) -> str:
    seen = []

    def respond(request) -> HttpResponse:
        seen.append(trace.told(None, "info", {})["trace"])
        assert trace.marked("UPDATE") == f"/*traceparent='{seen[0]}'*/UPDATE"
        return HttpResponse()

    trace.middleware(respond)(RequestFactory().get("/", headers=headers))
    return seen[0]


def test_request_has_its_trace_in_the_log_and_in_its_statements():
    assert seen_by_a_request(traceparent=HEADER) == HEADER


@pytest.mark.parametrize("headers", [{}, {"traceparent": "nix"}])
def test_request_that_brings_none_has_one_of_its_own(headers):
    assert trace.taken_up(seen_by_a_request(**headers))


def test_nothing_of_a_request_is_left_after_it():
    seen_by_a_request(traceparent=HEADER)
    assert trace.told(None, "info", {}) == {}
    assert trace.marked("UPDATE") == "UPDATE"


@pytest.mark.parametrize("statement", ["UPDATE x", b"UPDATE x", sql.SQL("UPDATE x"), sql.SQL("UPDATE {}").format(1)])
def test_statement_stays_of_its_kind(statement):
    def respond(request) -> HttpResponse:
        marked = trace.marked(statement)
        text = marked.decode() if isinstance(marked, bytes) else marked
        assert (text if isinstance(text, str) else text.as_string(None)).startswith("/*traceparent='00-")
        assert isinstance(marked, bytes) == isinstance(statement, bytes)
        return HttpResponse()

    trace.middleware(respond)(RequestFactory().get("/"))
