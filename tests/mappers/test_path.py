"""Paths: what is written at a place is read there, whatever stands beside it."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from icops_fhir.mappers import registry
from icops_fhir.mappers.codec import Context, Node
from icops_fhir.mappers.path import Path

TABLES = [row.to.text for table in registry.every() for row in table.rows if row.to.steps and not row.many]
paths = st.sampled_from(sorted(set(TABLES)))
values = st.text("abc", min_size=1, max_size=3)


def _value(path: Path, text: str) -> Any:
    """What fits the end of a path: an element where it names one, else a text."""
    return {"code": text} if path.last.resource or path.last.wants else text


@given(paths, values)
def test_what_is_written_is_read_again(text: str, value: str) -> None:
    path, context, node = Path(text), Context(), {}

    path.write(node, _value(path, value), context)

    found = path.read(node, context)
    assert found == value or found["code"] == value


@given(paths, paths, values, values)
def test_writing_where_nothing_stands_is_writing_step_by_step(one: str, two: str, first: str, second: str) -> None:
    """The code made for empty places and the general way agree."""
    quick: Node = {}
    slow: Node = {}
    for text, value in ((one, first), (two, second)):
        path = Path(text)
        try:
            path._add(slow, _value(path, value), Context())
        except (AttributeError, TypeError):  # the two name places that exclude each other
            return
        path.write(quick, _value(path, value), Context())

    assert quick == slow


@given(paths, st.recursive(st.none() | st.integers() | values, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "coding", "system", "extension", "hospitalization"]), inner, max_size=3)))
def test_reading_never_fails_and_never_changes(text: str, node: Any) -> None:
    before = copy.deepcopy(node)

    Path(text).read(node, Context())

    assert before == node
