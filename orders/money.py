"""Money as people read it."""


def as_text(cents: int, currency: str) -> str:
    """Minor units with their currency: 1965 and GBP are "19.65 GBP"."""
    return f"{cents // 100}.{cents % 100:02d} {currency}"
