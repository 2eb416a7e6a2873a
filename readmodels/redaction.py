"""What must not be in a log, nor beside a dead letter, is taken out of every text before it is written: passwords,
tokens, what headers carry of them, and e-mail addresses. Rather too much is taken out than too little.
"""

import re
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any

GONE = "***"
# An event holds nothing deeper; what does is shown as text.
MOST_DEPTH = 4

# Bounded, as everything here: somebody else chooses the text, and may choose one that takes for ever.
_HEADERS = r"(?:[\w-]{0,40}authorization|(?:[\w-]{0,40}[_-])?cookies?)"
_NAMES = (
    rf"(?:{_HEADERS}|[\w-]{{0,40}}idempotency[_-]key|\w{{0,40}}password\w{{0,40}}|passwd|pwd|passphrase"
    r"|(?:\w{0,40}_)?secret(?:_key)?|(?:\w{0,40}_)?token|csrf\w{0,40}|sessionid|api[_-]?key)"
)
_NAME = re.compile(_NAMES, re.IGNORECASE)
# Header lines run on to the end, quoted values to their quote; one inside of quoted text, to be sure, runs on too.
_NAMED = re.compile(
    rf"(?<![\w-])({_HEADERS}\s*[:=]\s*)(?![\s\"'\\])[^\r\n\"']+"
    rf"|(?<![\w-])({_NAMES}\\*[\"']?\)?\s*(?:=>|[:=])\s*)"
    r"(?:b?\"(?:[^\"\\]|\\.)*(?:\"|$)|b?'(?:[^'\\]|\\.)*(?:'|$)|b?\\+[\"'][^\r\n]*|[^\s&\"'\\]+)",
    re.IGNORECASE | re.DOTALL,
)
_BEARER = re.compile(r"\b(bearer|basic|token)(\s+)[\w.~+/=-]{6,}", re.IGNORECASE | re.ASCII)
_IN_URL = re.compile(r"(://[^\s/:@]{0,300}):[^\s@]{0,1000}@")
# Access tokens and what is kept of them; a trace, a run of Redis and a script have 40 digits at most.
LEAST_DIGITS = 64
_DIGITS = re.compile(rf"(?<![0-9a-zA-Z])[0-9a-fA-F]{{{LEAST_DIGITS},}}(?![0-9a-zA-Z])")
_ARGON2 = re.compile(r"\$?argon2(?:id?)?\$[\w$=,+/.-]+", re.IGNORECASE)
# One of these is in whatever the patterns above find by name: most lines have none, and are looked at no closer.
_WORDS = (
    *("authorization", "cookie", "idempotency", "passw", "passphrase", "pwd", "secret", "token", "csrf", "sessionid"),
    *("api_key", "api-key", "apikey", "bearer", "basic", "argon2"),
)
# As a form takes them: quotes, letters of any script, an address in brackets. A worker's name@host has no dot.
_EMAIL = re.compile(
    r"(?:\"(?:[^\"\\\n]|\\.)+\"|[\w.!#$%&'*+^`{|}~-]{1,254})@(?:[\w-]+(?:\.[\w-]+)+|localhost\b|\[[^\]\s]{1,60}\])"
)


def redacted(text: str) -> str:
    """The text without secrets and e-mail addresses; without any, it is the same."""
    lower = text.lower()
    if any(word in lower for word in _WORDS):
        text = _NAMED.sub(lambda found: f"{found[1] or found[2]}{GONE}", text)
        text = _ARGON2.sub(GONE, _BEARER.sub(rf"\1\2{GONE}", text))
    if "@" in text:
        text = _EMAIL.sub(GONE, _IN_URL.sub(rf"\1:{GONE}@", text))
    return _DIGITS.sub(GONE, text) if len(text) >= LEAST_DIGITS else text


def redact(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The event without them; called by structlog for every line, of any logger, once tracebacks are text."""
    for name, value in event.items():
        event[name] = _value(name, value, MOST_DEPTH)
    return event


def _value(name: object, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(name, str) and _is_secret(name):
        return GONE
    if isinstance(value, str):
        return redacted(value)
    if depth and isinstance(value, Mapping):
        return {_key(each): _value(each, inner, depth - 1) for each, inner in value.items()}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [_value(None, inner, depth - 1) for inner in value]
    return redacted(repr(value))


@lru_cache(maxsize=512)
def _is_secret(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def _key(name: object) -> object:
    return redacted(name) if isinstance(name, str) else name
