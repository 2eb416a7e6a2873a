"""What the worker takes from the broker is JSON: whoever can write there can't make it run code."""

import pickle

import pytest
from kombu.exceptions import ContentDisallowed
from kombu.message import Message

from worker import app


def test_pickled_message_is_refused_before_it_is_opened():
    message = Message(
        body=pickle.dumps([]),
        content_type="application/x-python-serialize",
        content_encoding="binary",
        accept=app.conf.accept_content,
    )
    with pytest.raises(ContentDisallowed):
        message.decode()


def test_tasks_are_sent_as_json_and_leave_no_result():
    assert (app.conf.task_serializer, app.conf.accept_content, app.conf.task_ignore_result) == ("json", ["json"], True)
