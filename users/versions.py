"""The version of a row: checked before a change, raised by one with it."""

from typing import Protocol, TypeVar

from users.errors import StaleVersion


class Versioned(Protocol):
    """A row of the write model that counts its changes."""

    version: int

    def save(self, *, update_fields: list[str]) -> None:
        """Write these columns; Django's Model.save."""


Row = TypeVar("Row", bound=Versioned)


def require_version(row: Versioned, expected: int | None) -> None:
    """Raise StaleVersion unless the row, locked by the caller, still has the version expected; None expects nothing."""
    if expected is not None and row.version != expected:
        raise StaleVersion(found=row.version, expected=expected)


def change(row: Row, **values: object) -> Row:
    """The row, locked by the caller, holds these values under the next version; written only if it did not."""
    changed = {name: value for name, value in values.items() if getattr(row, name) != value}
    if changed:
        vars(row).update(changed, version=row.version + 1)
        row.save(update_fields=[*changed, "version"])
    return row
