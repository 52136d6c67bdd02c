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
from dataclasses import dataclass, replace
from dataclasses import field as attribute
from typing import Any, NamedTuple

from icops_fhir.fhir.json import canonical
from icops_fhir.mappers.carry import left_over, put_back
from icops_fhir.mappers.codec import Codec, Context, Node, Path, merge
from icops_fhir.mappers.v2.er7 import Delimiters, Leaves, Repetition, escape, text
from icops_fhir.mappers.v2.er7 import Segment as Line

# What stands for a required element that the message does not say. https://hl7.org/fhir/R4/extension-data-absent-reason.html
ABSENT = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
_ORIGIN = re.compile(r"[A-Z][A-Z0-9]{2}-\d+\.\d+\Z")

Fields = list[list[Repetition]]
Written = dict[tuple[int, int], Repetition]
Made = dict[tuple[int, int], tuple[Node, "Row"]]


class Alias(NamedTuple):
    """How a segment comes by a resource, or by an item of a resource's list.

    type     the resource type; for an item, the alias that owns the list
    member   the list, for an item
    shared   the segment adds to the resource that an earlier segment made, if there is one
    fixed    what the resource always holds; "@Alias" stands for a reference to that alias' resource, "@Alias!" for one
             that FHIR requires
    """

    type: str
    member: str = ""
    shared: bool = False
    fixed: Mapping[str, Any] | Callable[[Context], Mapping[str, Any]] | None = None
    late: bool = False  # stands after the resources of its kind that other segments make


def resource(kind: str, fixed: Mapping[str, Any] | Callable[[Context], Mapping[str, Any]] | None = None) -> Alias:
    """A new resource for every occurrence of the segment."""
    return Alias(kind, fixed=fixed)


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


@dataclass(slots=True)
class View:
    """A line as texts: escape sequences read; `lexemes` are the leaves whose text does not give their spelling back."""

    fields: Fields
    lexemes: dict[tuple[int, int, int, int], str] = attribute(default_factory=dict)


def view(line: Line) -> View:
    """The texts of a line."""
    d, fields = line.delimiters, line.fields
    if d.escape not in line.line and not d.truncation:
        return View(fields)
    out = View([])
    for f, reps in enumerate(fields):
        new = []
        for r, rep in enumerate(reps, 1):
            new.append([[_leaf(raw, d, (f, r, c, s), out) for s, raw in enumerate(subs, 1)] for c, subs in enumerate(rep, 1)])
        out.fields.append(new)
    return out


def _leaf(raw: str, d: Delimiters, place: tuple[int, int, int, int], out: View) -> str:
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


def unflatten(leaves: Mapping[tuple[int, int, int, int], str]) -> Written:
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


class Segment:
    """A segment table: `read` and `write` side by side, `residue` and `restore` around them."""

    def __init__(
        self, name: str, aliases: Mapping[str, Alias], *rows: Row,
        withhold: Callable[[Fields, Context], set[tuple[int, int]]] | None = None, spelled: tuple[int, ...] = (),
    ) -> None:  # fmt: skip
        """withhold: the repetitions that reach no resource; spelled: fields whose spelling is kept beside their value."""
        rows = tuple(row._replace(alone=_alone(row, rows)) for row in rows)
        self.name, self.aliases, self.rows, self.withhold, self.spelled = name, dict(aliases), rows, withhold, spelled
        self.root = next(iter(aliases), "")
        self.one = [(row, row.to.head) for row in rows if not row.many]
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

    def read(self, fields: Fields, get: Callable[[str], Node], context: Context) -> Made:
        """Write into the aliases what the rows read; return the items made, by (field, repetition), with their row."""
        made: Made = {}
        size = len(fields)
        context.sure.clear()
        for row in self.rows:
            f = row.at[0]
            if len(row.at) > 1:
                reps = [fields[g][0] if g < size and fields[g] else [] for g in row.at]
                if not any(reps):
                    continue
                value = row.by.decode(reps, context)
                if value is not None:
                    self._place(row, get(row.alias), value, context)
                continue
            if f >= size or not fields[f]:
                continue
            all_reps = fields[f]
            if row.which == "first":
                rep = all_reps[0]
                if row.when is not None and not row.when(rep, context):
                    continue
                context.exact = False
                value = row.by.decode(rep, context)
                if value is not None:
                    if context.exact and row.alone:
                        context.sure.add((f, 1))
                    if row.many:
                        value["id"] = f"{self.name}-{f}.1"
                        row.to.append(get(row.alias), value, context)
                        made[f, 1] = value, row
                    else:
                        self._place(row, get(row.alias), value, context)
                continue
            for r in range(2 if row.which == "rest" else 1, len(all_reps) + 1):
                rep = all_reps[r - 1]
                if (f, r) in made or (row.when is not None and not row.when(rep, context)):
                    continue
                context.exact = False
                value = row.by.decode(rep, context)
                if value is not None:
                    if context.exact:
                        context.sure.add((f, r))
                    value["id"] = f"{self.name}-{f}.{r}"
                    row.to.append(get(row.alias), value, context)
                    made[f, r] = value, row
        return made

    @staticmethod
    def _place(row: Row, target: Node, value: Any, context: Context) -> None:
        if row.to.steps:
            row.to.write(target, value, context)
        else:
            merge(target, value)

    def residue(self, fields: Fields, nodes: Mapping[str, Node], made: Made, context: Context) -> Leaves:
        """The leaves that writing the aliases would not give back, and "" where it would write what was not there."""
        sure = context.sure
        written = self._singles(nodes, context, sure)
        for at, (node, row) in made.items():
            if at not in sure and (rep := row.by.encode(node, context)):
                written[at] = rep
        out: Leaves = {}
        for f, reps in enumerate(fields):
            for r, rep in enumerate(reps, 1):
                if (f, r) in sure:
                    continue
                again = written.pop((f, r), None)
                if again == rep:
                    continue
                one: Leaves = {}
                two: Leaves = {}
                flatten((f, r), rep, one)
                if again:
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
        out = self._singles(nodes, context)
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

    def _singles(self, nodes: Mapping[str, Node], context: Context, sure: Collection[tuple[int, int]] = ()) -> Written:
        """What the rows of one value write; those that are sure to give their field back need not."""
        out: Written = {}
        for row, head in self.one:
            node = nodes.get(row.alias)
            if node is None or (row.alone and (row.at[0], 1) in sure):
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
            readers = self.readers.get(unit, [])
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


def _alone(row: Row, rows: tuple[Row, ...]) -> bool:
    """Whether a row of one value shares neither field nor place with another row."""
    head = row.to.head
    return bool(head) and not any(
        other is not row and (set(other.at) & set(row.at) or (other.alias == row.alias and (not other.to.head or (other.to.head == head and not _apart(row, other)))))
        for other in rows
    )


def _apart(row: Row, other: Row) -> bool:
    """Whether two paths part ways at plain members."""
    for mine, theirs in zip(row.to.steps, other.to.steps, strict=False):
        if mine.key != theirs.key:
            return True
        if mine.listed or theirs.listed or mine.resource or theirs.resource:
            return mine != theirs and bool(mine.wants) and bool(theirs.wants)
    return False


def _same(one: Any, other: Any) -> bool:
    return one == other and canonical(one) == canonical(other)
