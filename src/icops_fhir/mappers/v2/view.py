"""A line as texts, and repetitions as leaves.  HL7 v2.5.1 §2.7 (escape sequences)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from icops_fhir.mappers.v2.er7 import HEADERS, Delimiters, Field, Leaves, Place, Repetition, escape, text
from icops_fhir.mappers.v2.er7 import Segment as Line

Fields = list[Field]
Written = dict[tuple[int, int], Repetition]


@dataclass(slots=True)
class View:
    """A line as texts: escape sequences read; `lexemes` are the leaves whose text does not give their spelling back."""

    fields: Fields
    lexemes: dict[Place, str] = field(default_factory=dict)


def view(line: Line) -> View:
    """The texts of a line. Only fields that hold an escape character are read again."""
    d, fields = line.delimiters, line.fields
    if d.escape not in line.line and not d.truncation:
        return View(fields)
    out = View(list(fields))
    header = line.name in HEADERS
    for f, part in enumerate(line.line.split(d.field), 1 if header else 0):
        if d.escape in part or d.truncation:
            out.fields[f] = [
                [[_leaf(raw, d, (f, r, c, s), out) for s, raw in enumerate(subs, 1)] for c, subs in enumerate(rep, 1)]
                for r, rep in enumerate(fields[f], 1)
            ]
    return out


def _leaf(raw: str, d: Delimiters, place: Place, out: View) -> str:
    if d.escape not in raw and not (d.truncation and d.truncation in raw):
        return raw
    meant = text(raw, d)
    if escape(meant, d) != raw:
        out.lexemes[place] = raw
    return meant


def flatten(at: tuple[int, int], rep: Repetition, into: Leaves) -> None:
    """The leaves of a repetition, added to `into`."""
    f, r = at
    for c, subs in enumerate(rep, 1):
        for s, leaf in enumerate(subs, 1):
            if leaf:
                into[f, r, c, s] = leaf


def unflatten(leaves: Mapping[Place, str]) -> Written:
    """Leaves as repetitions."""
    out: Written = {}
    for (f, r, c, s), leaf in leaves.items():
        rep = out.setdefault((f, r), [])
        while len(rep) < c:
            rep.append([""])
        subs = rep[c - 1]
        while len(subs) < s:
            subs.append("")
        subs[s - 1] = leaf
    return out
