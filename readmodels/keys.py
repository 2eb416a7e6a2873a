"""Every Redis key is built here. All keys of one document or partition share one hash tag, so that they fit Redis
Cluster.
"""

from dataclasses import dataclass
from zlib import crc32

BUCKETS = 256
PREFIX = "rm:"
ROWS = ":rows"  # how a partition's key of rows ends
EVERYTHING = "rm:{b???}:*"

# Single values, read apart from any document, live in the first bucket's slot.
POINTERS = "rm:{b000}:pointers"
EPOCH = "rm:{b000}:epoch"
HEARTBEAT = "rm:{b000}:heartbeat"

# Not of a read model: no scan for those sees it. One slot, since one script takes from several limits.
LIMITS = "rl:{limits}:"


@dataclass(frozen=True)
class PartitionKeys:
    """Where one partition of a collection lives."""

    bucket: int
    rows: str
    index: str
    measures: str
    tombstones: str
    # Which rows were changed last, for as long as somebody follows the partition.
    recent: str


def bucket_of(read_model: str, key: str) -> int:
    """The bucket of a document's or partition's key: 0 to 255, the same in every generation."""
    return crc32(f"{read_model}:{key}".encode()) % BUCKETS


def marker(bucket: int) -> str:
    """Key of the value that shows that a bucket was not lost."""
    return f"{tag(bucket)}:marker"


def progress(bucket: int) -> str:
    """Key of the progress kept in a bucket."""
    return _PROGRESS[bucket]


def expiring(bucket: int) -> str:
    """Key of a bucket's list of partitions that have tombstones, by when to look at them."""
    return f"{tag(bucket)}:expiring"


def lease(name: str) -> str:
    """Key of a lease, e.g. of the repair; its slot does not matter."""
    return f"{PREFIX}lease:{name}"


def limit(name: str, of: str) -> str:
    """Key of a limit: of which kind, and for whom it counts."""
    return f"{LIMITS}{name}:{of}"


def document(read_model: str, generation: int, key: str) -> str:
    """Key of one document."""
    return located(read_model, generation, key)[1]


def located(read_model: str, generation: int, key: str) -> tuple[int, str]:
    """(bucket, key) of one document."""
    bucket = bucket_of(read_model, key)
    return bucket, f"{_TAGS[bucket]}:{read_model}:{generation}:{key}"


def partition(read_model: str, generation: int, key: str) -> PartitionKeys:
    """Keys of one partition: its rows, their order, its measures, its tombstones and what was changed last."""
    bucket = bucket_of(read_model, key)
    stem = f"{tag(bucket)}:{read_model}:{generation}:{key}"
    names = (f"{stem}:{part}" for part in ("index", "measures", "tombstones", "recent"))
    return PartitionKeys(bucket, f"{stem}{ROWS}", *names)


def pattern(read_model: str, generation: int) -> str:
    """Matches every key of one generation."""
    return f"{PREFIX}{{b???}}:{read_model}:{generation}:*"


def tag(bucket: int) -> str:
    """What every key of a bucket begins with; the braces are Redis Cluster's hash tag."""
    return _TAGS[bucket]


_TAGS = [f"{PREFIX}{{b{bucket:03d}}}" for bucket in range(BUCKETS)]
_PROGRESS = [f"{tag}:progress" for tag in _TAGS]
