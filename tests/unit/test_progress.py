"""Progress judges by what it knows: which transactions are applied, on which timeline."""

from datetime import UTC, datetime

from readmodels.consistency import Progress, Stamp, Token

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def stamp(epoch: int, snapshot: str) -> Stamp:
    return Stamp(f"{epoch:06d}{1:020d}", NOW, snapshot)


def progress(epoch: int) -> Progress:
    return Progress(stamp(epoch, "10:10:"), 1, {"Page": [7]}, {})


def test_document_vouches_for_what_its_snapshot_shows():
    assert progress(1).includes(Token(1, 7), "Page", stamp(1, "9:9:"))


def test_document_of_a_later_epoch_vouches_for_nothing():
    """It may be of another timeline, where the id is another transaction's; progress says so a sweep later."""
    assert not progress(1).includes(Token(1, 7), "Page", stamp(2, "9:9:"))
