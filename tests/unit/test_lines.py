"""Documents as lines: NDJSON as stored, CSV by RFC 4180 and safe to open in a spreadsheet."""

import csv
from io import StringIO

import pytest

from readmodels.lines import csv_header, csv_rows, ndjson

COLUMNS = {"id": "id", "name": "customer.name"}


def row(name: str) -> bytes:
    return csv_rows([b'{"id": 1, "customer": {"name": %s}}' % name.encode()], COLUMNS)


def test_documents_are_lines_as_they_are_stored():
    assert ndjson([b'{"id":  1}', b'{"id": 2}']) == b'{"id":  1}\n{"id": 2}\n'
    assert ndjson([]) == b""


def test_lines_end_as_rfc_4180_says():
    assert csv_header(COLUMNS) + row('"Ada"') == b"id,name\r\n1,Ada\r\n"


def test_quotes_commas_and_line_ends_are_quoted():
    [[_, name]] = csv.reader(StringIO(row('"A \\"b\\", c\\nd \u00e9"').decode(), newline=""))
    assert name == 'A "b", c\nd \u00e9'


def test_what_is_null_is_empty():
    assert row("null") == b"1,\r\n"
    assert csv_rows([b'{"id": 1, "customer": null}'], COLUMNS) == b"1,\r\n"


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\\t", "\\r", "\\n"])
def test_text_that_a_spreadsheet_would_run_is_made_plain(begin):
    [[_, name]] = csv.reader(StringIO(row(f'"{begin}HYPERLINK(1)"').decode(), newline=""))
    assert name.startswith("'")
    assert name.endswith("HYPERLINK(1)")


def test_numbers_stay_numbers():
    assert csv_rows([b'{"id": -1, "customer": {"name": true}}'], COLUMNS) == b"-1,true\r\n"
