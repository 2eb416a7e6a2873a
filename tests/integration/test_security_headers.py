"""What browsers are told of every answer, and that no page needs anything from elsewhere."""

import re

import pytest
from django.test import Client
from rest_framework.test import APIClient

from tests.api import client_of, person

PAGES = ["/api/docs", "/api/redoc", "/admin/login/"]


@pytest.mark.parametrize("path", ["/api", "/api/nowhere", "/api/users/1", "/health/live", "/", "/nowhere", *PAGES])
def test_every_answer_carries_them(store, path):
    found = Client().get(path)
    assert found["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in found["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/", "/nowhere", *PAGES])
def test_pages_say_what_they_use_and_tell(store, path):
    found = Client().get(path)
    assert found["X-Frame-Options"] == "DENY"
    assert found["Referrer-Policy"] == "same-origin"
    assert found["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in found["Permissions-Policy"]


@pytest.mark.parametrize("path", ["/api", "/api/nowhere", "/api/schema", "/api/users/1", "/health/ready"])
def test_data_loads_nothing_at_all(store, path):
    assert APIClient().get(path)["Content-Security-Policy"].startswith("default-src 'none'; frame-ancestors")


def test_refused_and_changed_answers_carry_them_too(store):
    ada = person("ada")
    for found in (client_of(ada).patch(f"/api/users/{ada.pk}", {"name": "Ada"}), client_of(None).delete("/api/users")):
        assert "frame-ancestors 'none'" in found["Content-Security-Policy"]


@pytest.mark.parametrize("path", PAGES)
def test_pages_run_their_own_files_only(store, path):
    found = Client().get(path)
    policy, page = found["Content-Security-Policy"], found.content.decode()
    assert "script-src 'self';" in policy
    assert "http:" not in policy
    assert "https:" not in policy
    # No script in the page itself, no address of elsewhere.
    assert all(" src=" in script for script in re.findall(r"<script[^>]*>", page))
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//[^\"]*", page)
    assert not re.findall(r"\son\w+=", page)
