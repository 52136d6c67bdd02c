"""Paths as straight-line Python: the tables stay tables, what runs is what one would write by hand.

    row(1, "value"), row(5, "type.coding[system=S].code")   becomes   n1 = out["type"] = {}
                                                                     n2 = {"system": "S"}
                                                                     n1["coding"] = [n2]
                                                                     n2["code"] = v

Every place that several paths share is one local of the function (`n…` an element, `l…` a list), made when first
written. `Lines` writes the source; `reader`, `writer` are one path; composite.py makes whole data types of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from icops_fhir.mappers.codec import Context, Node
from icops_fhir.mappers.path import Path, Step, made, matches, merge, nest

Steps = tuple[Step, ...]


def nth(node: Any, key: str, position: int) -> Any:
    """The item at a position of a list that may not be there."""
    items = node.get(key)
    return items[position] if isinstance(items, list) and position < len(items) else None


def one(node: Any, key: str, wants: Any) -> Any:
    """The first item that has the wanted values, of a list that may not be there."""
    items = node.get(key)
    if isinstance(items, list):
        for item in items:
            if matches(item, wants):
                return item
    return None


def target(node: Any, resource: str, context: Context) -> Node | None:
    """The resource of a type that a Reference points to."""
    found = context.target(node)
    return None if found is None or found.get("resourceType") != resource else found


class Lines:
    """The source of a function being written, with the constants it names."""

    def __init__(self, paths: Iterable[Path], root: str) -> None:
        self.root = root
        self.text: list[str] = []
        self.names: dict[str, Any] = {"merge": merge, "nest": nest, "nth": nth, "one": one, "target": target}
        self.locals: list[str] = []
        self.nodes: dict[Steps, str] = {(): root}
        self.lists: dict[tuple[Steps, str], str] = {}
        self.shared = {path.steps[:i] for path in paths for i in range(1, len(path.steps))}
        self.ends: dict[tuple[Steps, str], set[Step]] = {}
        for path in paths:
            for i, step in enumerate(path.steps):
                self.ends.setdefault((path.steps[:i], step.key), set()).add(step)
                if (step.position and i < len(path.steps) - 1) or len({s.listed for s in self.ends[path.steps[:i], step.key]}) > 1:
                    raise ValueError(f"{path.text}: not a place that a data type may write")

    def add(self, depth: int, line: str) -> None:
        """A line at a depth of indentation."""
        self.text.append("    " * depth + line)

    def const(self, value: Any) -> str:
        """The name of a constant."""
        name = f"k{len(self.names)}"
        self.names[name] = value
        return name

    def local(self, kind: str) -> str:
        """A new local; None until written."""
        self.locals.append(f"{kind}{len(self.locals)}")
        return self.locals[-1]

    def compiled(self, name: str, arguments: str) -> Any:
        """The function of the lines written so far."""
        start = [f"    {' = '.join(self.locals)} = None"] if self.locals else []
        exec(compile("\n".join([f"def {name}({arguments}):", *start, *self.text]), f"<{name}>", "exec"), self.names)  # noqa: S102 - our own tables
        return self.names[name]

    # -------------------------------------------------------- writing

    def node(self, steps: Steps, depth: int) -> str:
        """The element at the end of some steps, made here if no line before has made it."""
        if steps in self.nodes:
            known = self.nodes[steps]
            if steps:
                self.add(depth, f"if {known} is None:")
                self._make(steps, known, depth + 1)
            return known
        new = self.nodes[steps] = self.local("n")
        self._make(steps, new, depth)
        return new

    def _make(self, steps: Steps, name: str, depth: int) -> None:
        *before, step = steps
        above = tuple(before)
        parent = self.node(above, depth)
        key, _, wants, resource, listed = step
        wanted = above[-1].wants if above else ()
        if not listed:
            self.add(depth, f"{name} = {parent}[{key!r}] = {{}}")
        elif any(keys[0] == key for keys, _ in wanted):  # made with its parent
            self.add(depth, f"{name} = {parent}[{key!r}][0]")
        elif len(self.ends[above, key]) == 1:
            self.add(depth, f"{name} = {made(wants)!r}")
            self.add(depth, f"{parent}[{key!r}] = [{name}]")
        else:
            self.add(depth, f"{name} = {made(wants)!r}")
            self._list(above, key, parent, depth, name)
        if resource:
            self.add(depth, f"{name} = nest({name}, {resource!r}, context)")

    def _list(self, above: Steps, key: str, parent: str, depth: int, item: str) -> str:
        """Add an item to a list that several steps share."""
        name = self.lists.get((above, key))
        if name is None:
            name = self.lists[above, key] = self.local("l")
            self.add(depth, f"{name} = {parent}[{key!r}] = [{item}]")
        else:
            self.add(depth, f"if {name} is None:")
            self.add(depth + 1, f"{name} = {parent}[{key!r}] = [{item}]")
            self.add(depth, "else:")
            self.add(depth + 1, f"{name}.append({item})")
        return name

    def write(self, path: Path, depth: int, value: str = "v") -> str:
        """Lines that put a value at a path; gives the condition under which it is read at that place again."""
        steps, last = path.steps, path.last
        if not steps or steps in self.shared or last.wants or last.resource:
            self.add(depth, f"merge({self.node(steps, depth)}, {value})")
            return ""
        parent = self.node(steps[:-1], depth)
        if not last.listed:
            self.add(depth, f"{parent}[{last.key!r}] = {value}")
            return ""
        if len(self.ends[steps[:-1], last.key]) == 1:
            self.add(depth, f"{parent}[{last.key!r}] = [{value}]")
            return "False" if last.position else ""
        name = self._list(steps[:-1], last.key, parent, depth, value)
        return f"len({name}) == {(last.position or 0) + 1}"

    # -------------------------------------------------------- reading

    def find(self, steps: Steps, depth: int) -> str:
        """The element at the end of some steps, None when there is none."""
        if steps in self.nodes:
            return self.nodes[steps]
        *before, step = steps
        parent = self.find(tuple(before), depth)
        name = self.nodes[steps] = self.local("n")
        resource = step.resource
        self.add(depth, f"if {parent} is not None:")
        self.add(depth + 1, f"{name} = {self._look(parent, step)}")
        if resource:
            self.add(depth + 1, f"{name} = target({name}, {resource!r}, context)")
        else:
            self.add(depth + 1, f"if not isinstance({name}, dict):")
            self.add(depth + 2, f"{name} = None")
        return name

    def _look(self, parent: str, step: Step) -> str:
        key, position, wants, _, listed = step
        if not listed:
            return f"{parent}.get({key!r})"
        if position is not None:
            return f"nth({parent}, {key!r}, {position})"
        return f"one({parent}, {key!r}, {self.const(wants)})"

    def value(self, path: Path, depth: int) -> str:
        """The condition under which `v` is a value at a path; what leads there is read before."""
        if not path.steps:
            return f"(v := {self.root}) is not None"
        if path.steps in self.shared or path.last.resource:
            return f"(v := {self.find(path.steps, depth)}) is not None"
        parent = self.find(path.steps[:-1], depth)
        return f"{parent} is not None and (v := {self._look(parent, path.last)}) is not None"


def reader(path: Path) -> Callable[[Any, Context], Any]:
    """A function (element, context) -> the value at a path, None when there is none."""
    lines = Lines([path], "node")
    lines.add(1, "if not isinstance(node, dict):")
    lines.add(2, "return None")
    found = lines.value(path, 1)
    lines.add(1, f"return v if {found} else None")
    made: Callable[[Any, Context], Any] = lines.compiled("read", "node, context")
    return made


def writer(path: Path) -> Callable[[Node, Any, Context], None]:
    """A function (element, value, context) that writes at a path of which not even the first step stands."""
    lines = Lines([path], "node")
    lines.write(path, 1)
    made: Callable[[Node, Any, Context], None] = lines.compiled("write", "node, v, context")
    return made
