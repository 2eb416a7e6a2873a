"""The form of live updates on the wire."""

from readmodels import sse


def test_an_update_is_its_fields_and_an_empty_line():
    assert sse.update("row", b'{"id": 1}', "5.a") == b'event: row\nid: 5.a\ndata: {"id": 1}\n\n'


def test_without_an_id_the_client_keeps_the_one_it_has():
    assert sse.facts("end", reason="gone") == b'event: end\ndata: {"reason": "gone"}\n\n'


def test_no_text_can_end_its_field():
    wire = sse.update("row", b'{"a":\r\n"b",\r"c":\n1}')
    assert [line.split(b": ")[0] for line in wire.strip().split(b"\n")] == [
        b"event",
        b"data",
        b"data",
        b"data",
        b"data",
    ]
    assert b"\r" not in wire
