"""What a query would answer, for tests."""

import json
from typing import Any

from readmodels.declare import Document
from readmodels.query import Key, Reader
from readmodels.store import Store


def body(store: Store, of: type[Document], key: Key) -> Any:
    """The document's body, None if there is none."""
    found = Reader(store).document(of, key).body
    return found and json.loads(found)
