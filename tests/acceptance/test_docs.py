"""The documents hold: links lead somewhere, named tests exist, settings and packages are described as they are."""

import ast
import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from project.env import ROOT
from readmodels.conf import Conf

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
TESTS = sorted(ROOT.glob("tests/**/test_*.py"))
TEST_FILE = re.compile(r"\btest_\w+\.py\b")
TEST_NAME = re.compile(r"(?:::|`)(test_\w+)`")
VARIABLE = re.compile(r"[A-Z][A-Z_]+[A-Z]")
ROW = re.compile(r"^\| `([A-Z_]+)` \| ([^|]*) \|", re.MULTILINE)

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def settings_page(part: int) -> dict[str, str]:
    """Name to default, of the environment (1) or the engine (2)."""
    text = (ROOT / "docs/reference/settings.md").read_text()
    return dict(ROW.findall(text.split("\n## ")[part]))


def anchors(page: Path) -> set[str]:
    """What the headings of a page can be linked to by."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@by_page
def test_links_lead_somewhere(page):
    for path, anchor in LINK.findall(CODE.sub("", page.read_text())):
        if path.startswith(("http://", "https://")):
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {path}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {path}#{anchor}"


@by_page
def test_tests_that_are_named_exist(page):
    text = page.read_text()
    everything = "\n".join(path.read_text() for path in TESTS)
    assert set(TEST_FILE.findall(text)) <= {path.name for path in TESTS}
    assert {name for name in TEST_NAME.findall(text) if f"def {name}(" not in everything} == set()


def test_every_setting_of_the_engine_is_described_with_its_default():
    defaults = {
        field.name.upper(): "required" if field.default is MISSING else str(field.default) for field in fields(Conf)
    }
    assert settings_page(2) == defaults


def test_every_environment_variable_is_described():
    tree = ast.parse((ROOT / "project/env.py").read_text())
    literals = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert settings_page(1).keys() == {text for text in literals if VARIABLE.fullmatch(text)}


@pytest.mark.parametrize("pins", ["requirements.txt", "requirements-dev.txt", "requirements-bench.txt"])
def test_every_package_has_its_reason(pins):
    wanted = set(re.findall(r"^([\w-]+)==", (ROOT / pins).read_text(), re.MULTILINE))
    part = (ROOT / "docs/dependencies.md").read_text().split(f"`{pins}`\n")[1].split("\n## ")[0]
    described = {name for cell in re.findall(r"^\| ([\w, -]+) \|", part, re.MULTILINE) for name in cell.split(", ")}
    assert described - {"package"} == wanted


def test_read_model_in_the_readme_is_the_real_one():
    code = (ROOT / "orders/readmodels/customer_orders.py").read_text()
    assert f"```python\n{code[code.index('class ') :]}```" in (ROOT / "README.md").read_text()
