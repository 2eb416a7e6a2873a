"""docs/reference/problems.md names every problem that the API can answer, with its status, and no other."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator

from rest_framework import exceptions

import orders
import project
import readmodels
import users
from project.env import ROOT
from project.problems import STATUS
from users.errors import Refused

PACKAGES = (orders, project, readmodels, users)
ROW = re.compile(r"^\| `([a-z_]+)` \| (\d{3}) \| [^|]+ \| [^|]+ \|$", re.MULTILINE)
# Become other problems, or are raised by nothing here.
OTHERS = {exceptions.APIException, exceptions.ValidationError, exceptions.Throttled}
# Which argument of these functions of project/problems.py is the code, and the status they imply.
MAKERS = {"Problem": (1, None), "_wrong": (1, 400), "_retry_later": (0, 503)}


def descendants(of: type) -> Iterator[type]:
    """The classes below one, of this project and of REST framework."""
    for each in of.__subclasses__():
        if each.__module__.partition(".")[0] in {"rest_framework", *(package.__name__ for package in PACKAGES)}:
            yield each
        yield from descendants(each)


def of_classes() -> Iterator[tuple[str, int]]:
    for package in PACKAGES:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "migrations" not in module.name:
                importlib.import_module(module.name)
    yield from ((each.code, STATUS[each.kind]) for each in descendants(Refused) if hasattr(each, "code"))
    raised = set(descendants(exceptions.APIException)) - OTHERS
    yield from ((each.default_code, each.status_code) for each in raised)


def of_the_mapping() -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse((ROOT / "project/problems.py").read_text())):
        name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None
        if name in MAKERS:
            place, status = MAKERS[name]
            first, code = node.args[0], node.args[place]
            if isinstance(code, ast.Constant):
                yield code.value, status or first.value


def test_every_problem_is_described_with_its_status():
    described = ROW.findall((ROOT / "docs/reference/problems.md").read_text())
    found = {(code, str(status)) for code, status in (*of_classes(), *of_the_mapping())}
    assert set(described) == found
    assert len(described) == len(set(described)), "one stands twice"
