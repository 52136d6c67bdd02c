"""The rows of a segment table: fields ↔ places in FHIR resources, and the aliases those places begin with.

An *alias* names a resource (or an item of one) in its role: "Patient", "Movement". HL7 v2.5.1 §2.5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from icops_fhir.mappers.codec import Codec, Context, Node
from icops_fhir.mappers.path import Path
from icops_fhir.mappers.v2.er7 import Repetition


class Alias(NamedTuple):
    """How a segment comes by a resource, or by an item of a resource's list.

    type     the resource type; for an item, the alias that owns the list
    member   the list, for an item
    shared   the segment adds to the resource that an earlier segment made, if there is one
    fixed    what the resource always holds; "@Alias" stands for a reference to that alias' resource, "@Alias!" for one
             that FHIR requires; {} for a required element that is unknown unless the segment says it
    """

    type: str
    member: str = ""
    shared: bool = False
    fixed: Mapping[str, Any] | Callable[[Context], Mapping[str, Any]] | None = None
    holds: frozenset[str] | None = frozenset()  # the members of `fixed`; None when a function gives them
    wanted: frozenset[str] = frozenset()  # the members of `fixed` that are {}
    late: bool = False  # stands after the resources of its kind that other segments make


def resource(kind: str, fixed: Mapping[str, Any] | Callable[[Context], Mapping[str, Any]] | None = None) -> Alias:
    """A new resource for every occurrence of the segment."""
    if callable(fixed):
        return Alias(kind, fixed=fixed, holds=None)
    return Alias(kind, fixed=fixed, holds=frozenset(fixed or ()), wanted=frozenset(key for key, value in (fixed or {}).items() if value == {}))


def shared(kind: str, fixed: Mapping[str, Any] | Callable[[Context], Mapping[str, Any]] | None = None) -> Alias:
    """The resource that an earlier segment made, or a new one."""
    return Alias(kind, shared=True, fixed=fixed)


def item(alias: str, member: str) -> Alias:
    """A new item in a list of another alias' resource, for every occurrence of the segment."""
    return Alias(alias, member)


class Row(NamedTuple):
    """One row of a segment table, compiled."""

    at: tuple[int, ...]  # the field, or the fields read together
    alias: str
    to: Path
    by: Codec
    many: bool
    which: str  # "all" | "first" | "rest": the repetitions this row reads
    when: Callable[[Repetition, Context], bool] | None
    fresh: Callable[[Node], bool] | None
    alone: bool = True  # no other row of the table has its field or its place


def field(
    at: int | tuple[int, ...], to: str, by: Codec, *, which: str = "",
    when: Callable[[Repetition, Context], bool] | None = None, fresh: Callable[[Node], bool] | None = None,
) -> Row:  # fmt: skip
    """A row: `field(5, "Patient.name[]", XPN)`.

    at     a field, or several read together (the codec then takes and gives their first repetitions, in order)
    which  "first" or "rest" where repetitions mean different things
    when   the repetition is this row's (both directions state the same: encode writes what the path holds)
    fresh  which new items, made in FHIR, this row writes; without it the first row of a path takes the others
    """
    many = to.endswith("[]")
    alias, _, rest = to.removesuffix("[]").partition(".")
    fields = (at,) if isinstance(at, int) else at
    return Row(fields, alias, Path(rest), by, many, which or ("all" if many else "first"), when, fresh)


def nowhere(*_: Any) -> bool:
    """No repetition is read by this row: it only writes what FHIR clients make."""
    return False


def alone(row: Row, rows: tuple[Row, ...]) -> bool:
    """Whether what a row of one value writes is what it reads again, whatever the other rows of its table do.

    So it is when no row before it has its field, and no other row has its place.
    """
    before = True
    for other in rows:
        if other is row:
            before = False
        elif (before and set(other.at) & set(row.at)) or (other.alias == row.alias and not _apart(row, other)):
            return False
    return True


def _apart(row: Row, other: Row) -> bool:
    """Whether two rows of one resource have different places in it."""
    for mine, theirs in zip(row.to.steps, other.to.steps, strict=False):
        if mine.key != theirs.key:
            return True
        if mine != theirs:
            return bool(mine.wants and theirs.wants) or (mine.position is not None and theirs.position is not None)
    size = min(len(row.to.steps), len(other.to.steps))
    if len(row.to.steps) == len(other.to.steps):
        return not size and row.by.members is not None and other.by.members is not None and not row.by.members & other.by.members
    short, long = (row, other) if len(row.to.steps) == size else (other, row)
    return short.by.members is not None and long.to.steps[size].key not in short.by.members
