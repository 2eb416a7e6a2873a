"""Imports run one way, read off the source: each finding names the file and the line."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {"project", "worker", "orders", "users", "readmodels"}
MAY_IMPORT = {
    "project": PACKAGES,
    "worker": {"worker", "readmodels"},
    "orders": {"orders", "users", "readmodels"},
    "users": {"users", "readmodels"},
    "readmodels": {"readmodels"},
}
# project starts and checks servers, so it speaks to them before the engine does.
REDIS = {"readmodels/connection.py", "readmodels/store.py"}
CELERY = {"readmodels/tasks.py"}


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything a file imports, `from a import b` as a.b."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def found(paths: list[Path], is_wrong) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in paths
        for line, name in imported(path)
        if is_wrong(name)
    ]


def is_in(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_imports_run_one_way(package):
    assert not found(sources(package), lambda name: is_in(name, *PACKAGES - MAY_IMPORT[package]))


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_imports_name_their_module_in_full(package):
    assert not found(sources(package), lambda name: name.startswith("."))


@pytest.mark.parametrize("app", ["users", "orders"])
def test_commands_know_no_read_model(app):
    writing = [ROOT / app / name for name in ("commands.py", "access.py", "stock.py", "models.py", "admin.py")]
    assert not found(
        [path for path in writing if path.exists()], lambda name: is_in(name, "users.readmodels", "orders.readmodels")
    )


@pytest.mark.parametrize("app", ["users", "orders"])
def test_queries_know_no_table(app):
    forbidden = ["django.db", "knox"] + [
        f"{each}.{part}" for each in ("users", "orders") for part in ("models", "commands", "access")
    ]
    views = ("query_view", "views", "several_view", "summary_view", "export_view", "walking_days", "selection")
    reading = [ROOT / app / "query_views.py", ROOT / app / "permissions.py"]
    reading += [ROOT / "readmodels" / f"{name}.py" for name in views]
    assert not found(reading, lambda name: is_in(name, *forbidden))


def test_redis_is_spoken_to_in_one_place():
    elsewhere = [path for package in PACKAGES - {"project"} for path in sources(package) if not is_one_of(path, REDIS)]
    assert not found(elsewhere, lambda name: is_in(name, "redis"))


def test_celery_is_known_to_the_worker_and_the_tasks():
    packages = PACKAGES - {"project", "worker"}
    elsewhere = [path for package in packages for path in sources(package) if not is_one_of(path, CELERY)]
    assert not found(elsewhere, lambda name: is_in(name, "celery", "kombu"))


def test_a_wrong_import_is_found_with_file_and_line(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "readmodels").mkdir()
    (tmp_path / "readmodels" / "bad.py").write_text("import json\n\n\ndef late():\n    from orders import models\n")
    assert found(sources("readmodels"), lambda name: is_in(name, "orders")) == [
        "readmodels/bad.py:5 imports orders.models"
    ]


def is_one_of(path: Path, names: set[str]) -> bool:
    return str(path.relative_to(ROOT)) in names
