"""Every generation that is current, whatever its state, compared with a fresh build, in JSON lines.

python -m tests.faults.audit
"""

import json
import os
from dataclasses import asdict

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    django.setup()
    from readmodels import drift, generations, snapshot
    from readmodels.store import Store

    with snapshot.reading() as (cursor, _):
        current = generations.current(cursor)
    for generation in current:
        found = drift.audit(Store(), generation)
        print(json.dumps({"state": generation.state, **asdict(found)}))


if __name__ == "__main__":
    main()
