"""The file of real transactions that stands beside the project (Online Retail, D. Chen, 2015, CC BY 4.0)."""

import csv
import gzip
from pathlib import Path

FILE = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "online_retail_10k.csv.gz"


def rows() -> list[dict[str, str]]:
    """Its lines, as the CSV has them."""
    with gzip.open(FILE, "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pence(row: dict[str, str]) -> int:
    """The amount of a line in minor units; cancellations count as what was cancelled."""
    return abs(int(row["Quantity"])) * round(float(row["UnitPrice"]) * 100)
