"""What beat starts, and how often. In code: no table to be migrated, no admin to forget it in."""

# What could not start before the next one is due is dropped, so that none pile up behind a stopped worker.
SCHEDULE = {
    "sweep": {"task": "readmodels.sweep", "schedule": 1.0, "options": {"expires": 1.0}},
    "scrub": {"task": "readmodels.scrub", "schedule": 1.0, "options": {"expires": 1.0}},
    "chores": {"task": "readmodels.chores", "schedule": 1.0, "options": {"expires": 1.0}},
}
