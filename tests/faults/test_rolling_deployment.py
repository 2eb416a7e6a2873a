"""A column is renamed in production: old and new code run side by side on the same servers, writes and reads go on, and
the way back is open until the old column goes.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
import redis

from project import child, env
from project.embedded import Servers
from tests.faults.code import Code
from tests.faults.read import Seen
from tests.trees import copy_project, edit

CHANGED = ("OrderDetail", "OrdersByStatus", "UserProfile")
DATABASE = "rolling"
WAIT_SECONDS = 120

# The new column beside the old one; whichever is written, the other one follows.
EXPAND = """
CREATE FUNCTION users_user_one_name() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.full_name := coalesce(NEW.full_name, NEW.name);
        NEW.name := NEW.full_name;
    ELSIF NEW.full_name IS DISTINCT FROM OLD.full_name THEN
        NEW.name := NEW.full_name;
    ELSE
        NEW.full_name := NEW.name;
    END IF;
    RETURN NEW;
END $$;
ALTER TABLE users_user ADD COLUMN full_name varchar(200);
CREATE TRIGGER users_user_one_name BEFORE INSERT OR UPDATE ON users_user
    FOR EACH ROW EXECUTE FUNCTION users_user_one_name();
UPDATE users_user SET full_name = name;
"""
CONTRACT = """
DROP TRIGGER users_user_one_name ON users_user;
DROP FUNCTION users_user_one_name;
ALTER TABLE users_user ALTER COLUMN full_name SET NOT NULL, DROP COLUMN name,
    ADD CONSTRAINT users_user_name_is_not_empty CHECK (full_name <> '');
"""
MIGRATION = '''from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("users", "{before}")]
    operations = [
        migrations.RunSQL(
            """{sql}""",
            state_operations=[
                migrations.AlterField("user", "name", models.CharField(db_column="full_name", max_length=200)),
            ],
        ),
    ]
'''


def expand(folder: Path) -> None:
    """The code in the folder has another column for the name, and its read models show it under another name."""
    edit(
        folder / "users/models.py",
        "name = models.CharField(max_length=200)",
        'name = models.CharField(max_length=200, db_column="full_name")',
    )
    edit(folder / "users/readmodels/user_profile.py", '"name": F("name")', '"full_name": F("name")')
    for file in ("order_detail", "orders_by_status"):
        edit(folder / f"orders/readmodels/{file}.py", '"name": F("customer__name")', '"full_name": F("customer__name")')
    migrate_by(folder, "9001_full_name", latest(folder), EXPAND)


def contract(folder: Path) -> None:
    """The code in the folder has a migration that drops the old column."""
    migrate_by(folder, "9002_no_name", "9001_full_name", CONTRACT)


def latest(folder: Path) -> str:
    """The last migration that the code in the folder has."""
    return max(file.stem for file in (folder / "users/migrations").glob("0*.py"))


def migrate_by(folder: Path, name: str, before: str, sql: str) -> None:
    (folder / f"users/migrations/{name}.py").write_text(MIGRATION.format(before=before, sql=sql))


@dataclass
class Shop:
    """Servers with old and new code on them. Each reader sees what both writers write."""

    old: Code
    new: Code
    database: psycopg.Connection[tuple[str, int]]
    customers: list[int] = field(default_factory=list)

    def generations(self) -> dict[str, dict[int, str]]:
        """The state of each generation by read model and number."""
        found: dict[str, dict[int, str]] = {}
        rows = self.database.execute("SELECT read_model, number, state FROM readmodels_generation ORDER BY id")
        for read_model, number, state in rows:
            found.setdefault(read_model, {})[number] = state
        return found

    def wait_for(self, *states: str) -> None:
        """The generations of each changed read model are in these states, in the order in which they were made."""
        assert child.wait_until(
            lambda: all([*self.generations()[name].values()] == [*states] for name in CHANGED), WAIT_SECONDS
        ), self.generations()

    def wait_until_seen(self, *readers: tuple[Code, str]) -> None:
        """Both writers write on, and each reader sees that of every customer, in the field named with it."""
        before = self.last_written()
        assert child.wait_until(
            lambda: (
                self.last_written().keys() == set(self.customers)
                and all(counter > before.get(user, 0) for user, counter in self.last_written().items())
            ),
            WAIT_SECONDS,
        ), "the writers are stuck"
        written = self.last_written()
        for code, name in readers:
            assert child.wait_until(
                lambda code=code, name=name: all(
                    code.last_seen(user).field == name and code.last_seen(user).counter >= counter
                    for user, counter in written.items()
                ),
                WAIT_SECONDS,
            ), f"the {code.name} reader does not see {name} {written}: {code.seen()[-8:]}"

    def last_written(self) -> dict[int, int]:
        """The last counter of each user that a write was answered for."""
        outcomes = [*self.old.written(), *self.new.written()]
        return {outcome.user_id: outcome.counter for outcome in outcomes if outcome.error is None}

    def is_settled(self) -> bool:
        [(backlog,)] = self.database.execute("SELECT count(*) FROM readmodels_change")
        return backlog == 0


def wrong(code: Code) -> list[str]:
    """What the code's reader should never have seen, and its writer never have met."""
    found = [f"{now}" for now in code.seen() if now.wrong]
    found += [f"{outcome}" for outcome in code.written() if outcome.error]
    before: dict[int, Seen] = {}
    for now in code.seen():
        last = before.get(now.user_id, now)
        if now.counter < last.counter or now.orders < last.orders:
            found.append(f"went back from {last} to {now}")
        before[now.user_id] = now
    return found


@pytest.fixture
def shop(servers: Servers, tmp_path: Path) -> Iterator[Shop]:
    """A database and Redis databases of its own; the new code is a copy of the old one, changed."""
    urls = {
        "DATABASE_URL": servers.postgres.url.replace("@/readmodels?", f"@/{DATABASE}?"),
        "REDIS_URL": servers.read_models.url.replace("db=0", "db=1"),
        "BROKER_URL": servers.broker.url.replace("db=0", "db=1"),
    }
    with psycopg.connect(servers.postgres.url, autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {DATABASE}")
        copy_project(tmp_path / "new")
        expand(tmp_path / "new")
        old = Code("old", env.ROOT, tmp_path, urls)
        new = Code("new", tmp_path / "new", tmp_path, urls)
        try:
            with psycopg.connect(urls["DATABASE_URL"], autocommit=True) as database:
                yield Shop(old, new, database)
        finally:
            old.stop()
            new.stop()
            server.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
            for name in ("REDIS_URL", "BROKER_URL"):
                redis.Redis.from_url(urls[name]).flushdb()


def test_renamed_column_is_rolled_out_back_and_out_again(shop: Shop):
    begin(shop)
    untouched = {name: states for name, states in shop.generations().items() if name not in CHANGED}
    roll_out(shop)
    replace_workers(shop)
    roll_back_and_out_again(shop)
    end_old_code(shop)
    drop_old_column(shop)
    assert {name: states for name, states in shop.generations().items() if name not in CHANGED} == untouched
    assert wrong(shop.old) == wrong(shop.new) == []


def begin(shop: Shop) -> None:
    """The old code is in production, and written and read."""
    assert shop.old.manage("migrate").code == 0
    shop.old.start_worker()
    shop.customers = shop.old.add_customers(8)
    assert child.wait_until(lambda: all(states == {1: "live"} for states in shop.generations().values()), WAIT_SECONDS)
    shop.old.start_reader(shop.customers)
    shop.old.start_writer(shop.customers[:4])


def roll_out(shop: Shop) -> None:
    """New code comes beside the old one, whose worker alone builds the new generations and keeps both current."""
    to_do = shop.new.manage("readmodels", "deploy", "--check", "--json")
    assert (to_do.code, sorted(to_do.data["generations"])) == (1, sorted(CHANGED))
    assert shop.new.manage("migrate").code == 0
    assert shop.new.manage("readmodels", "deploy").code == 0
    shop.new.start_reader(shop.customers)
    shop.new.start_writer(shop.customers[4:])
    shop.wait_for("retired", "live")
    shop.wait_until_seen((shop.old, "name"), (shop.new, "full_name"))


def replace_workers(shop: Shop) -> None:
    """Workers of both codes run, then those of the new code alone, which keep both generations current."""
    shop.new.start_worker()
    shop.new.wait_for_worker()
    shop.wait_until_seen((shop.old, "name"), (shop.new, "full_name"))
    shop.old.kill("worker")
    shop.wait_until_seen((shop.old, "name"), (shop.new, "full_name"))


def roll_back_and_out_again(shop: Shop) -> None:
    """All are served the generations of before, which missed nothing; then the new ones again, which did not either."""
    back = shop.new.readmodels(*(["rollback", name] for name in CHANGED))
    assert back.code == 0, back.text
    shop.wait_for("live", "withdrawn")
    shop.wait_until_seen((shop.old, "name"), (shop.new, "name"))
    assert_right(shop, while_writing=True)
    forward = shop.new.readmodels(*(["switch", name, "2"] for name in CHANGED))
    assert forward.code == 0, forward.text
    shop.wait_for("retired", "live")
    shop.wait_until_seen((shop.old, "name"), (shop.new, "full_name"))


def end_old_code(shop: Shop) -> None:
    """Nothing of the old code runs; every generation holds all that was written."""
    shop.old.kill("writer")
    shop.new.kill("writer")
    assert child.wait_until(shop.is_settled, WAIT_SECONDS)
    assert_right(shop)
    shop.old.kill("reader")


def drop_old_column(shop: Shop) -> None:
    """The old column goes while the new code writes on; what was made of it can't be gone back to."""
    shop.new.start_writer(shop.customers)
    shop.wait_until_seen((shop.new, "full_name"))
    contract(shop.new.folder)
    assert shop.new.manage("migrate").code == 0
    refused = shop.new.manage("readmodels", "rollback", "UserProfile", "--json")
    assert refused.code == 1
    # Some seconds later a broken generation is gone.
    assert re.search("is broken, a column|none that can still be built", refused.data["refused"])
    shop.wait_until_seen((shop.new, "full_name"))
    shop.new.kill("writer")
    assert child.wait_until(shop.is_settled, WAIT_SECONDS)
    assert_right(shop)


def assert_right(shop: Shop, *, while_writing: bool = False) -> None:
    """Every current generation, served or not, is what a fresh build gives, as far as it can be told."""
    ended = shop.new.python("-m", "tests.faults.audit")
    found = [json.loads(line) for line in ended.text.splitlines() if line.startswith("{")]
    current = [state for states in shop.generations().values() for state in states.values() if state != "broken"]
    assert sorted(each["state"] for each in found) == sorted(current), ended.text
    kinds = ["missing", "stale", "orphan", "uneven", "parked", *([] if while_writing else ["unsettled"])]
    assert not [each for each in found if any(each[kind] for kind in kinds)], ended.text
