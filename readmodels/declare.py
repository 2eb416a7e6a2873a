"""How a read model is declared: a class with a root and a body of Django expressions.

A team writes one such class per file in `<app>/readmodels/`; everything else (what to capture, how to build, what to
verify, the API schema) is derived from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, ClassVar

from django.apps import apps
from django.db.models import F, Model, Q
from django.db.models.expressions import Combinable, OrderBy
from django.utils.module_loading import module_has_submodule

from readmodels.errors import WrongDeclaration

# One entry of a body: a Django expression over the root, a nested body, or a list of related rows.
Body = Mapping[str, Any]


@dataclass(frozen=True)
class Many:
    """A list of related rows, one body each, e.g. `Many("lines", {"sku": F("product__sku")}, order_by="position")`.

    `relation` is the reverse side of a foreign key to the model at hand; `order_by` a column of the related model
    (ties are broken by its primary key).
    """

    relation: str
    body: Body
    order_by: str = "pk"
    where: Q | None = None


@dataclass(frozen=True)
class ManySum:
    """The sum of an integer expression over related rows; 0 where there are none."""

    relation: str
    expression: Any
    where: Q | None = None


@dataclass(frozen=True)
class ManyCount:
    """The number of related rows."""

    relation: str
    where: Q | None = None


@dataclass(frozen=True)
class Sum:
    """A measure: the sum of an integer expression over a partition's rows; NULL counts as 0."""

    expression: Any
    where: Q | None = None


@dataclass(frozen=True)
class Count:
    """A measure: the number of a partition's rows, or of those that meet `where`."""

    where: Q | None = None


class ReadModel:
    """Base of Document and Collection; subclasses that have a root enter the registry under their class name."""

    root: ClassVar[type[Model]]
    body: ClassVar[Body] = {}
    where: ClassVar[Q | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "root" in cls.__dict__:
            _register(cls)


class Document(ReadModel):
    """One JSON document per row of the root, found by `key`: a unique column of the root, else the primary key."""

    key: ClassVar[F] = F("pk")


class Collection(ReadModel):
    """Rows of the root by partition, in one order, with filters and measures; pages never disagree with counts."""

    partition_by: ClassVar[Combinable]
    order_by: ClassVar[F | OrderBy]
    filter_by: ClassVar[tuple[str, ...]] = ()
    measures: ClassVar[Mapping[str, Sum | Count]] = {}


_registry: dict[str, type[ReadModel]] = {}


def _register(read_model: type[ReadModel]) -> None:
    known = _registry.setdefault(read_model.__name__, read_model)
    if known.__module__ != read_model.__module__:
        where = f"{known.__module__} and in {read_model.__module__}"
        raise WrongDeclaration(
            f"{read_model.__name__} is declared in {where}: keys are made of the name, choose another"
        )
    _registry[read_model.__name__] = read_model


def declared() -> dict[str, type[ReadModel]]:
    """Every declared read model by name."""
    return dict(_registry)


def autodiscover() -> None:
    """Import each file of each installed app's `readmodels` package, so that its read models are declared."""
    for config in apps.get_app_configs():
        if config.module is None or not module_has_submodule(config.module, "readmodels"):
            continue
        package = import_module(f"{config.name}.readmodels")
        for module in iter_modules(package.__path__):
            import_module(f"{package.__name__}.{module.name}")


def forget(name: str) -> None:
    """Take a read model out of the registry (tests declare throw-away ones)."""
    _registry.pop(name, None)
