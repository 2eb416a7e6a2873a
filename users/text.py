"""What text a column takes: PostgreSQL refuses NUL, UTF-8 lone surrogates, and nobody can read control characters."""

import unicodedata

from users.errors import Refused

UNREADABLE = {"Cc", "Cs"}


def clean_text(value: str, what: str, longest: int, error: type[Refused], *, may_be_empty: bool = False) -> str:
    """Return the value without outer spaces; raises `error` with a detail that names `what` is wrong."""
    text = value.strip()
    if not text and not may_be_empty:
        raise error(f"The {what} is empty.")
    if len(text) > longest:
        raise error(f"The {what} has {len(text)} characters; {longest} are allowed.")
    if not is_readable(text):
        raise error(f"The {what} holds control characters.")
    return text


def is_readable(text: str) -> bool:
    """Whether every character can be stored and shown."""
    return text.isprintable() or not any(unicodedata.category(character) in UNREADABLE for character in text)
