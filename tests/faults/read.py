"""One reader as a process of its own, of the code in its folder: reads some users until it is ended, and says in JSON
lines what it sees that is new, and what it should never see.

python -m tests.faults.read USER_ID...
"""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import django

PAUSE_SECONDS = 0.01


@dataclass(frozen=True)
class Seen:
    """What a user's profile showed at one of so many reads: a counter, in the field that holds the name."""

    user_id: int
    field: str
    counter: int
    orders: int
    reads: int
    wrong: str = ""


def seen(user_id: int, profile: dict[str, Any], orders: int, reads: int) -> Seen:
    """The answers about one user."""
    [field] = {"name", "full_name"} & profile.keys()
    return Seen(user_id, field, int(profile[field].split()[1]), orders, reads)


def main(*user_ids: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    django.setup()
    from orders.readmodels.customer_orders import CustomerOrders  # needs the models
    from readmodels.query import reader
    from users.readmodels.user_profile import UserProfile

    before: dict[int, Seen] = {}
    reads = 0
    while True:
        for user_id in map(int, user_ids):
            reads += 1
            try:
                profile = json.loads(reader().document(UserProfile, user_id).body or b"{}")
                now = seen(user_id, profile, len(reader().page(CustomerOrders, user_id, limit=100).rows), reads)
            except Exception as error:
                now = Seen(user_id, "", 0, 0, reads, repr(error))
            if not before.get(user_id) or asdict(before[user_id]) | {"reads": reads} != asdict(now):
                print(json.dumps(asdict(now)), flush=True)
            before[user_id] = now
            time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
