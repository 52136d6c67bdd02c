"""A segment as a two-way table: fields ↔ places in FHIR resources, with the rest carried.

    PID = Segment("PID", {"Patient": resource("Patient")},
        field(3, "Patient.identifier[]", CX),
        field(7, "Patient.birthDate", only(date)), …)

An *alias* names a resource (or an item of one) in its role: "Patient", "Movement". Items of a repeating field are
keyed by their origin (Element.id = "PID-5.2"), so that an edit, an insertion or a deletion in FHIR reaches the
right repetition. HL7 v2.5.1 §2.5; the mapping ideas are in docs/decisions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from icops_fhir.fhir.json import canonical
from icops_fhir.mappers.carry import left_over, put_back
from icops_fhir.mappers.codec import Context, Node
from icops_fhir.mappers.path import Path
from icops_fhir.mappers.v2.er7 import Leaves, Repetition
from icops_fhir.mappers.v2.row import Alias, Row, alone, nowhere
from icops_fhir.mappers.v2.view import Fields, Written, flatten, unflatten

_ORIGIN = re.compile(r"[A-Z][A-Z0-9]{2}-\d+\.\d+\Z")

# a row, its field, whether it reads several, its codec's decode, its condition, its alias, whether it has one value
Reading = tuple[Row, int, bool, Callable[[Any, Context], Any], Callable[[Repetition, Context], bool] | None, str, bool]
Reach = tuple[list[Reading], list[tuple[Row, str]]]  # the rows that read a line, and those that may write it again
Made = dict[tuple[int, int], tuple[Node, Row]]


class Segment:
    """A segment table: `read` and `write` side by side, `residue` and `restore` around them."""

    def __init__(
        self, name: str, aliases: Mapping[str, Alias], *rows: Row,
        withhold: Callable[[Fields, Context], set[tuple[int, int]]] | None = None, spelled: tuple[int, ...] = (),
    ) -> None:  # fmt: skip
        """withhold: the repetitions that reach no resource; spelled: fields whose spelling is kept beside their value."""
        rows = tuple(row._replace(alone=alone(row, rows)) for row in rows)
        self.name, self.aliases, self.rows, self.withhold, self.spelled = name, dict(aliases), rows, withhold, spelled
        self.root = next(iter(aliases), "")
        self.wanting = [alias for alias, spec in aliases.items() if spec.wanted]
        self.one = [(row, row.to.head) for row in rows if not row.many]
        self._reach = lru_cache(maxsize=256)(self._reached)  # the lines of a feed have few shapes
        lists: dict[tuple[str, str], tuple[str, Path]] = {}
        for row in rows:
            if row.many:
                lists.setdefault((row.alias, row.to.text), (row.alias, row.to))
        self.lists = list(lists.values())
        self.many = [(n, row) for n, row in enumerate(rows) if row.many]
        self.default: set[int] = set()
        seen: set[tuple[str, str]] = set()
        for n, row in enumerate(rows):
            if row.many and row.fresh is None and (row.alias, row.to.text) not in seen:
                seen.add((row.alias, row.to.text))
                self.default.add(n)
        self.special = {(r.alias, r.to.text): [x.fresh for x in rows if x.fresh and (x.alias, x.to.text) == (r.alias, r.to.text)] for r in rows}
        self.unit: dict[int, int] = {}
        for row in rows:
            low = min([self.unit.get(f, f) for f in row.at])
            joined = {f for f, u in self.unit.items() if u in {self.unit.get(g, g) for g in row.at}} | set(row.at)
            for f in joined:
                self.unit[f] = low
        self.readers: dict[int, list[Row]] = {}
        for row in rows:
            self.readers.setdefault(self.unit[row.at[0]], []).append(row)

    # ------------------------------------------------------------ decode

    def _reached(self, present: tuple[int, ...]) -> Reach:
        """The rows that read one of the fields that stand in a line, unfolded; the rows that may write something then."""
        there = set(present)
        reading = [
            (row, row.at[0], len(row.at) > 1, row.by.decode, row.when, row.alias, not row.many)
            for row in self.rows
            if there.intersection(row.at) and row.when is not nowhere
        ]
        return reading, [(row, head) for row, head in self.one if there.intersection(row.at) or not self._silent(row)]

    def _silent(self, row: Row) -> bool:
        """Whether a row that has read nothing has nothing to write: its place is its own, in a resource made by this line."""
        alias = self.aliases.get(row.alias)
        if alias is None or alias.member or alias.shared or alias.holds is None or alias.type == "Bundle":
            return False
        return row.alone and bool(row.to.head) and row.to.head not in alias.holds

    def reach(self, fields: Fields) -> Reach:
        """The rows that the fields of a line call for."""
        return self._reach(tuple([f for f, reps in enumerate(fields) if reps]))

    def read(self, fields: Fields, nodes: Mapping[str, Node], context: Context, reach: Reach) -> Made:
        """Write into the aliases what the rows read; return the items made, by (field, repetition), with their row."""
        made: Made = {}
        size = len(fields)
        sure = context.sure
        sure.clear()
        for row, f, several, decode, when, alias, single in reach[0]:
            if several:
                reps = [fields[g][0] if g < size and fields[g] else [] for g in row.at]
                if any(reps) and (value := decode(reps, context)) is not None:
                    row.to.write(nodes[alias], value, context)
                continue
            all_reps = fields[f]
            if single:
                rep = all_reps[0]
                if when is not None and not when(rep, context):
                    continue
                context.left = None
                value = decode(rep, context)
                if value is not None:
                    left = context.left
                    fresh = row.to.write(nodes[alias], value, context)
                    if left is not None and row.alone and (fresh or _says_all(row, value, nodes[alias])) and alias in nodes:
                        sure[f, 1] = left
                continue
            r = 0
            for rep in all_reps[:1] if row.which == "first" else all_reps:
                r += 1
                if (f, r) in made or (r == 1 and row.which == "rest") or (when is not None and not when(rep, context)):
                    continue
                context.left = None
                value = decode(rep, context)
                if value is not None:
                    if context.left is not None:
                        sure[f, r] = context.left
                    value["id"] = f"{self.name}-{f}.{r}"
                    row.to.append(nodes[alias], value, context)
                    made[f, r] = value, row
        return made

    def residue(self, fields: Fields, nodes: Mapping[str, Node], made: Made, context: Context, reach: Reach) -> Leaves:
        """The leaves that writing the aliases would not give back, and "" where it would write what was not there."""
        sure = context.sure
        written = self._singles(nodes, context, reach[1], sure)
        for at, (node, row) in made.items():
            if at not in sure and (rep := row.by.encode(node, context)):
                written[at] = rep
        out: Leaves = {}
        f = -1
        for reps in fields:
            f += 1
            r = 0
            for rep in reps:
                r += 1
                left = sure.get((f, r))
                if left is not None:
                    for c, s in left:
                        out[f, r, c, s] = rep[c - 1][s - 1]
                    continue
                again = written.pop((f, r), None)
                if again is None:
                    flatten((f, r), rep, out)
                elif again != rep:
                    one: Leaves = {}
                    two: Leaves = {}
                    flatten((f, r), rep, one)
                    flatten((f, r), again, two)
                    out.update(left_over(one, two))
        for at, rep in written.items():
            new: Leaves = {}
            flatten(at, rep, new)
            out.update(dict.fromkeys(new, ""))
        return out

    # ------------------------------------------------------------ encode

    def write(self, nodes: Mapping[str, Node], context: Context, taken: Mapping[int, int] | None = None) -> Written:
        """What the rows write from the aliases. `taken` = the last repetition of a field that carried leaves hold."""
        out = self._singles(nodes, context, self.one)
        for n, row in self.many:
            node = nodes.get(row.alias)
            if node is None or row.to.head not in node:
                continue
            f = row.at[0]
            key, new = f"{self.name}-{f}.", []
            last = (taken or {}).get(f, 0)
            for one in row.to.items(node, context):
                origin = one.get("id", "")
                if isinstance(origin, str) and origin.startswith(key) and origin[len(key) :].isdigit():
                    r = int(origin[len(key) :])
                    last = max(last, r)
                    rep = row.by.encode(one, context) if (f, r) not in out else None
                    if rep:
                        out[f, r] = rep
                elif self._takes(n, row, one, origin):
                    new.append(one)
            if new:
                last = max([last, *(r for g, r in out if g == f)])
                for one in new:
                    rep = row.by.encode(one, context)
                    if rep:
                        last += 1
                        out[f, last] = rep
        return out

    def _singles(
        self, nodes: Mapping[str, Node], context: Context, rows: list[tuple[Row, str]], sure: Collection[tuple[int, int]] = ()
    ) -> Written:
        """What the rows of one value write; those that are sure to give their field back need not."""
        out: Written = {}
        for row, head in rows:
            node = nodes.get(row.alias)
            if node is None or (sure and len(row.at) == 1 and (row.at[0], 1) in sure):
                continue
            if head:
                if head not in node:
                    continue
                value = row.to.read(node, context)
                if value is None:
                    continue
            else:
                value = node
            written = row.by.encode(value, context)
            if written is None:
                continue
            if len(row.at) == 1:
                if written:
                    out.setdefault((row.at[0], 1), written)
            else:
                for g, rep in zip(row.at, written, strict=True):
                    if rep:
                        out.setdefault((g, 1), rep)
        return out

    def _takes(self, n: int, row: Row, one: Node, origin: Any) -> bool:
        if isinstance(origin, str) and _ORIGIN.match(origin):
            return False  # another row's, or another segment's
        if row.fresh is not None:
            return row.fresh(one)
        return n in self.default and not any(fresh(one) for fresh in self.special[row.alias, row.to.text])

    def restore(self, nodes: Mapping[str, Node], carried: Leaves, context: Context) -> Leaves:
        """The leaves of the segment: what the rows write, with the carried leaves that change no meaning."""
        taken: dict[int, int] = {}
        for f, r, _, _ in carried:
            taken[f] = max(taken.get(f, 0), r)
        written = self.write(nodes, context, taken)
        units: dict[tuple[int, int], tuple[Leaves, Leaves]] = {}
        for at, rep in written.items():
            flatten(at, rep, units.setdefault(self._owner(*at), ({}, {}))[0])
        for place, leaf in carried.items():
            units.setdefault(self._owner(*place[:2]), ({}, {}))[1][place] = leaf
        out: Leaves = {}
        for (unit, r), (mine, theirs) in units.items():
            if not theirs:
                out.update(mine)
                continue
            # A Bundle is the first header's: what other headers of a file say of theirs is carried.
            readers = [row for row in self.readers.get(unit, ()) if row.alias in nodes or self.aliases[row.alias].type != "Bundle"]
            if not readers:
                out.update({place: leaf for place, leaf in theirs.items() if leaf})
                continue
            unread = self._unread(readers, theirs)
            out.update(put_back(mine, theirs, self._meaning(readers, unit, r, context), _same, unread))
        return out

    def _owner(self, f: int, r: int) -> tuple[int, int]:
        return self.unit.get(f, f), r

    @staticmethod
    def _unread(readers: list[Row], leaves: Leaves) -> set[tuple[int, int, int, int]]:
        if any(len(row.at) > 1 or row.by.reads is None or row.when is not None for row in readers):
            return set()
        read = {place for row in readers for place in row.by.reads or ()}
        return {p for p in leaves if (p[2] - 1, p[3] - 1) not in read}

    def _meaning(self, readers: list[Row], unit: int, r: int, context: Context) -> Callable[[Leaves], Any]:
        def means(leaves: Leaves) -> list[Any]:
            scratch = replace(context, nested=[])
            reps = unflatten(leaves)
            values: list[Any] = []
            for row in readers:
                if len(row.at) > 1:
                    found = [reps.get((f, 1), []) for f in row.at] if r == 1 else []
                    values.append(row.by.decode(found, scratch) if any(found) else None)
                    continue
                if (row.which == "first" and r != 1) or (row.which == "rest" and r == 1):
                    continue
                rep = reps.get((row.at[0], r))
                if rep is None or (row.when is not None and not row.when(rep, scratch)):
                    values.append(None)
                else:
                    values.append(row.by.decode(rep, scratch))
            return values

        return means


def _says_all(row: Row, value: Any, node: Node) -> bool:
    """Whether a value merged into a resource says every member its row reads, so that nothing said before is read with it."""
    return not row.to.head and row.by.members is not None and all(member in value for member in row.by.members if member in node)


def _same(one: Any, other: Any) -> bool:
    return one == other and canonical(one) == canonical(other)
