"""What the environment may say, and what is said of a wrong value."""

import pytest

from project import env


def read(tmp_path, **environ):
    return env.read({"READMODELS_DATA": str(tmp_path), **environ})


def test_nothing_said_reads_as_a_laptop(tmp_path):
    found = read(tmp_path)
    assert (found.is_debug, found.is_demo, found.allowed_hosts) == (True, False, ["*"])


def test_running_servers_are_found(tmp_path):
    file = env.servers_file(tmp_path)
    file.parent.mkdir()
    file.write_text("REDIS_URL=unix:///run/a.sock?db=0\n")
    assert read(tmp_path).redis_url == "unix:///run/a.sock?db=0"


def test_the_environment_wins_over_running_servers(tmp_path):
    file = env.servers_file(tmp_path)
    file.parent.mkdir()
    file.write_text("REDIS_URL=unix:///run/a.sock?db=0\n")
    assert read(tmp_path, REDIS_URL="redis://elsewhere").redis_url == "redis://elsewhere"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://user:secret@host:port/name"),
        ("DATABASE_URL", "postgresql://user@host:5432"),
        ("DATABASE_URL", "readmodels"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis://host:99999"),
        ("REDIS_URL", "redis://host/one"),
        ("BROKER_URL", "amqp://host"),
        ("EVENTS_URL", "localhost:8001"),
        ("EVENTS_URL", "http://localhost:8001/api"),
        ("DEBUG", "perhaps"),
        ("DEMO", "2"),
    ],
)
def test_a_wrong_value_is_one_line_and_exit_code_2(tmp_path, capsys, name, value):
    with pytest.raises(env.WrongSetting) as raised:
        read(tmp_path, **{name: value})
    assert raised.value.code == 2
    assert capsys.readouterr().err == f"{raised.value}\n"
    assert str(raised.value).startswith(f"{name}=")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("broker_url", ["redis://localhost:6379/0", "redis://127.0.0.1", "rediss://localhost?db=0"])
def test_read_models_and_broker_are_apart(tmp_path, broker_url):
    with pytest.raises(env.WrongSetting, match="BROKER_URL"):
        read(tmp_path, REDIS_URL="redis://localhost", BROKER_URL=broker_url)


def test_a_secret_key_is_demanded_in_production(tmp_path):
    with pytest.raises(env.WrongSetting, match="SECRET_KEY"):
        read(tmp_path, DEBUG="0")


def test_the_engines_numbers_come_from_the_environment(tmp_path):
    given = read(tmp_path, READMODELS_LEASE_SECONDS="5", READMODELS_POINTER_SECONDS="0.5").numbers
    assert given == {"LEASE_SECONDS": 5, "POINTER_SECONDS": 0.5}


def test_a_number_of_the_engine_has_to_be_one(tmp_path):
    with pytest.raises(env.WrongSetting, match="READMODELS_LEASE_SECONDS='soon'"):
        read(tmp_path, READMODELS_LEASE_SECONDS="soon")
