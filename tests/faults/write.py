"""One writer as a process of its own, with its own addresses: writes until it is ended, and says so in JSON lines.

python -m tests.faults.write SEED PAUSE_SECONDS USER_ID...
"""

import json
import os
import sys
import time
from dataclasses import asdict

import django

from readmodels import patience


def main(seed: str, pause_seconds: str, *user_ids: str) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    django.setup()
    from tests.faults.writers import Writer  # needs the models

    patience.limit()
    writer = Writer(int(seed), [int(user_id) for user_id in user_ids])
    while True:
        print(json.dumps(asdict(writer.write())), flush=True)
        time.sleep(float(pause_seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
