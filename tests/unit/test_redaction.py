"""No secret and no e-mail address stays in a text, whatever it says around them."""

import json
import logging
import time

import pytest
import structlog
from django.conf import settings
from hypothesis import assume, given
from hypothesis import strategies as st

from readmodels.redaction import redact, redacted

ASCII = st.characters(min_codepoint=33, max_codepoint=126)
TOKENS = st.text(st.sampled_from("ABCDEFabcdef0123456789._~+/=-"), min_size=8, max_size=80)
LOCAL = st.from_regex(r"[a-z0-9!#$%&'*+^_`{|}~-]{3,20}(\.[a-zA-Z0-9]{1,5}){0,2}", fullmatch=True)
DOMAIN = st.from_regex(r"[a-zäöü0-9]{2,10}(-[a-z]{1,4})?(\.[a-z]{2,5}){1,2}", fullmatch=True)
EMAILS = st.builds("{}@{}".format, LOCAL, DOMAIN)
PASSWORDS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=6, max_size=30)
NAMES = st.sampled_from(
    ["password", "new_password", "Cookie", "Set-Cookie", "Idempotency-Key", "HTTP_IDEMPOTENCY_KEY", "token"]
)
AROUND = st.text(st.sampled_from("abc xyz()[]{}<>,;:\n"), max_size=20)


def mentions(text: str, secret: str) -> bool:
    return secret in text or secret in text.replace("\\", "")


@given(EMAILS, AROUND, AROUND)
def test_no_email_stays(email, before, after):
    found = redacted(f"{before} {email} {after}")
    assert email not in found
    assert email.split("@")[0] not in found.replace(before, "").replace(after, "")


@given(EMAILS)
def test_no_email_stays_in_what_postgresql_says_of_a_row(email):
    for text in (f"DETAIL:  Key (email)=({email}) already exists.", f"Failing row contains (1, {email}, Ada)."):
        assert email not in redacted(text)


@given(TOKENS, st.sampled_from(["Bearer", "bearer", "Authorization: Bearer", "HTTP_AUTHORIZATION='Bearer"]))
def test_no_bearer_token_stays(token, scheme):
    assert token not in redacted(f"it came with {scheme} {token}, and failed")


@given(NAMES, PASSWORDS)
def test_no_named_secret_stays(name, secret):
    assume(secret not in name)
    for text in (json.dumps({name: secret}), repr({name: secret}), str({name: {"a": secret}} and {name: secret})):
        assert not mentions(redacted(f"got {text} today"), secret)


@given(NAMES, st.text(ASCII.filter(lambda c: c not in "&\"'\\"), min_size=6, max_size=30))
def test_no_named_secret_stays_without_quotes(name, secret):
    assume(secret not in name)
    for text in (f"{name}={secret}", f"?a=1&{name}={secret}&b=2", f"{name}: {secret}"):
        assert secret not in redacted(text)


@given(
    st.sampled_from(["redis", "rediss", "postgresql", "redis+socket"]),
    st.text(ASCII.filter(lambda c: c != "@"), min_size=6),
)
def test_no_password_of_a_url_stays(scheme, password):
    assert password not in redacted(f"can't reach {scheme}://ada:{password}@host.internal:6379/0 today")


@given(st.sampled_from(["0123456789abcdef" * 4, "f" * 128, "ABCDEF00" * 8]), AROUND)
def test_no_token_or_hash_stays_by_itself(digits, before):
    assert digits not in redacted(f"{before} {digits}")


@pytest.mark.parametrize(
    "text",
    [
        "projected read_model=OrderDetail lag_seconds=0.012",
        "trace 4bf92f3577b34da6a3ce929d0e0e4736, run 6fd21b1fbd6f0d9a0e5a2c1b6c1a8b1d2e3f4a5b",
        "live@here ready.",
        "redis://host:6379/0 does not answer",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redacted(text) == text


@given(st.text(max_size=200))
def test_twice_is_once(text):
    assert redacted(redacted(text)) == redacted(text)


@given(EMAILS, PASSWORDS)
def test_events_are_searched_all_through(email, secret):
    assume(secret not in "passwordwholistmailnested***")
    event = {"event": f"hello {email}", "nested": {"who": [email, {"password": secret}]}, "token": secret, "n": 1}
    found = str(redact(None, "info", {**event, "error": ValueError(f"no {email}")}))
    assert email not in found
    assert secret not in found
    assert "hello" in found


@pytest.mark.parametrize("logger", [logging.getLogger("django.request"), structlog.get_logger("any")])
def test_every_logger_and_every_traceback_goes_through_it(logger, capfd):
    config = settings.LOGGING
    handler = logging.StreamHandler()
    formatter = dict(config["formatters"]["fields"])
    handler.setFormatter(formatter.pop("()")(**formatter))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        try:
            raise ValueError("ada@example.com could not log in with Bearer abcdef0123456789")
        except ValueError:
            logger.warning("password=horse-staple failed", exc_info=True)
    finally:
        root.removeHandler(handler)
    written = capfd.readouterr().err
    assert "ValueError" in written
    assert "Traceback" in written
    assert not any(secret in written for secret in ("ada@example.com", "abcdef0123456789", "horse-staple"))


@pytest.mark.parametrize(
    "part", ["a", "@", "password", "a@", "\\", "token='", "://a:", "a@[", 'a"', "cookie ", "a.", "Bearer ", "_-secret"]
)
def test_a_long_text_takes_no_long_time(part):
    """Somebody else chooses it; a pattern that goes back and forth would take minutes."""
    started = time.perf_counter()
    redacted(part * (100_000 // len(part)) + "@ token")
    assert time.perf_counter() - started < 10
