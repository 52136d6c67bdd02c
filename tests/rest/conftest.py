"""One server in process over a real SQLite store, for the tests of the interactions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rest_kit import Web, open_web


@pytest.fixture
def web() -> Iterator[Web]:
    with open_web() as found:
        yield found
