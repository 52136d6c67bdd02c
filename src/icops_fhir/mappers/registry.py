"""The segment tables there are: one module a segment, found by its name.

Adding a segment is adding `v2/segments/xxx.py` with a table named like it.
"""

from __future__ import annotations

import pkgutil
from functools import lru_cache
from importlib import import_module

from icops_fhir.mappers.v2 import segments
from icops_fhir.mappers.v2.segment import Segment


@lru_cache(maxsize=512)
def segment(name: str) -> Segment | None:
    """The table of a segment, None when there is none: then the segment is carried whole."""
    if not name.isalnum() or name.lower() not in _names():
        return None
    found = getattr(import_module(f"{segments.__name__}.{name.lower()}"), name, None)
    return found if isinstance(found, Segment) else None


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(module.name for module in pkgutil.iter_modules(segments.__path__))


def every() -> list[Segment]:
    """All tables, by name."""
    return [table for name in sorted(_names()) if (table := segment(name.upper())) is not None]
