"""A second database on the same server, with the same rows and without capture: what others write to."""

import psycopg
from django.db import connection

from bench.ground import Ground
from readmodels.capture import PREFIX

NAME = "plain"


def copy(ground: Ground) -> str:
    """The address of a copy of the database as it is now, without our triggers. Nobody else may be connected."""
    ours = ground.servers.postgres.url
    connection.close()
    with psycopg.connect(ours.replace("@/readmodels?", "@/postgres?"), autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {NAME}")
        server.execute(f"CREATE DATABASE {NAME} TEMPLATE readmodels")
    url = ours.replace("@/readmodels?", f"@/{NAME}?")
    with psycopg.connect(url, autocommit=True) as copied:
        triggers = copied.execute(
            "SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE starts_with(tgname, %s)", [PREFIX]
        ).fetchall()
        for trigger, table in triggers:
            copied.execute(f'DROP TRIGGER "{trigger}" ON {table}')
        copied.execute("VACUUM ANALYZE")
    return url
