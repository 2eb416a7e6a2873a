"""`readmodels fingerprints`: what is declared, in files that a check compares without any server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps

from orders.readmodels.order_detail import OrderDetail
from project.env import ROOT
from readmodels.fingerprint import fingerprint
from tests.cli import readmodels

NOWHERE = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "BROKER_URL": "redis://127.0.0.1:1/1",
}


@pytest.fixture
def project(tmp_path, settings, monkeypatch) -> Path:
    """A project's folder with the apps in it, and no files yet."""
    settings.BASE_DIR = tmp_path
    for app in ("users", "orders"):
        monkeypatch.setattr(apps.get_app_config(app), "path", str(tmp_path / app))
        (tmp_path / app / "readmodels").mkdir(parents=True)
    return tmp_path


def change(file: Path, **prints: str | None) -> None:
    """The file holds these in place of what it held; None: not any more."""
    held = {**json.loads(file.read_text()), **prints}
    file.write_text(json.dumps({name: print for name, print in held.items() if print}))


def test_committed_files_hold_what_is_declared_and_no_server_is_asked():
    command = [sys.executable, ROOT / "manage.py", "readmodels", "fingerprints", "--check"]
    done = subprocess.run(command, env={**os.environ, **NOWHERE}, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the files hold what is declared\n", "")


def test_each_app_has_the_fingerprints_of_its_own(project, capsys):
    assert readmodels(capsys, "fingerprints").code == 0
    held = {file: json.loads(file.read_text()) for file in project.rglob("*.json")}
    orders = held.pop(project / "orders" / "readmodels" / "fingerprints.json")
    assert orders["OrderDetail"] == fingerprint(OrderDetail)
    assert [*orders] == sorted(orders)
    assert {name for prints in held.values() for name in prints} == {"AccessGrant", "UserProfile"}
    assert readmodels(capsys, "fingerprints", "--check").code == 0


def test_check_names_what_is_new_changed_and_gone(project, capsys):
    readmodels(capsys, "fingerprints")
    file = project / "orders" / "readmodels" / "fingerprints.json"
    change(file, OrderDetail="0" * 16, SalesByDay=None, OrderWall="1" * 16)
    before = file.read_text()
    answer = readmodels(capsys, "fingerprints", "--check", "--json")
    found = {row["read_model"]: row["state"] for row in answer.data["differences"]}
    assert (answer.code, found) == (1, {"OrderDetail": "changed", "SalesByDay": "new", "OrderWall": "gone"})
    assert file.read_text() == before
    lines = readmodels(capsys, "fingerprints", "--check").out.splitlines()
    assert all(any(name in line and state in line for line in lines) for name, state in found.items())


def test_app_whose_last_read_model_went_is_noticed(project, capsys, monkeypatch):
    file = project / "admin" / "readmodels" / "fingerprints.json"
    monkeypatch.setattr(apps.get_app_config("admin"), "path", str(project / "admin"))
    file.parent.mkdir(parents=True)
    file.write_text('{"Gone": "0000000000000000"}')
    readmodels(capsys, "fingerprints")
    assert file.read_text() == "{}\n"


@pytest.mark.parametrize("place", ["elsewhere", "project/.venv/lib/python3.11/site-packages"])
def test_installed_app_is_left_alone(project, settings, capsys, monkeypatch, place):
    settings.BASE_DIR = project / "project"
    installed = project / place / "orders" / "readmodels"
    installed.mkdir(parents=True)
    monkeypatch.setattr(apps.get_app_config("orders"), "path", str(installed.parent))
    assert readmodels(capsys, "fingerprints").code == 0
    assert not [*project.rglob("*.json")]
    assert readmodels(capsys, "fingerprints", "--check").code == 0


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\n{}", "[]"])
def test_file_that_is_none_is_refused_by_name_and_written_anew(project, capsys, text):
    file = project / "orders" / "readmodels" / "fingerprints.json"
    file.write_text(text)
    answer = readmodels(capsys, "fingerprints", "--check")
    assert (answer.code, len(answer.error.splitlines())) == (2, 1)
    assert "orders/readmodels/fingerprints.json" in answer.error
    assert "accepted: what `fingerprints` writes" in answer.error
    assert readmodels(capsys, "fingerprints").code == 0
    assert readmodels(capsys, "fingerprints", "--check").code == 0
