"""FHIRPath: an expression compiled to closures over JSON values.

http://hl7.org/fhirpath/N1/, https://hl7.org/fhir/R4/fhirpath.html

The definitions are asked at compile time (which JSON name a choice stands under), never while it runs.
An evaluation is `run(items, root) -> items`, where items are plain JSON values.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from icops_fhir.fhir import elements
from icops_fhir.fhir.packages import definitions
from icops_fhir.fhir.path_parser import Call, Constant, Index, Literal, Member, Node, Operation, parse, refused

Items = list[Any]
Run = Callable[[Items, Any], Items]


class Compiled(NamedTuple):
    """A closure, and the types its result can have; None when they are not known before it runs."""

    run: Run
    types: tuple[str, ...] | None


@lru_cache(maxsize=8192)
def compile(expression: str, type: str | None = None) -> Callable[[Any], Items]:
    """The function of an expression on resources (or elements) of a type; FhirError when it cannot be one."""
    run = Compiler(expression, type).compile(parse(expression), None).run
    return lambda resource: run([resource], resource)


class Compiler:
    """Turns the nodes of one expression into closures; the tables below say how."""

    def __init__(self, expression: str, type: str | None) -> None:
        self.expression = expression
        self.type = type

    def compile(self, node: Node, item: tuple[str, ...] | bool | None) -> Compiled:
        """`item`: types of `$this` inside the criteria of where(), select(), …; None at the top."""
        match node:
            case Literal(value):
                values = [] if value is None else [value]
                return Compiled(lambda items, root: values, None)
            case Constant(name):
                return self._constant(name, item)
            case Member():
                return self._member(node, item)
            case Call(of, name, arguments):
                return self._call(of, name, arguments, item)
            case Index(of, at):
                return self._index(self.compile(of, item), self.compile(at, item))
            case Operation("is" | "as" as operator, left, Member(_, name)):
                return self.as_type(left, name, item) if operator == "as" else self._is(self.compile(left, item), name)
            case Operation(operator, left, right):
                return self._operation(operator, self.compile(left, item), self.compile(right, item))
        raise refused(self.expression, "unknown construct")

    def _here(self, item: tuple[str, ...] | bool | None) -> tuple[str, ...] | None:
        if item is None:
            return (self.type,) if self.type else None
        return item if isinstance(item, tuple) else None

    def _constant(self, name: str, item: tuple[str, ...] | bool | None) -> Compiled:
        if name == "$this":
            return Compiled(lambda items, root: items, self._here(item))
        if name in ("%resource", "%context", "%rootResource"):
            return Compiled(lambda items, root: [root], (self.type,) if self.type else None)
        raise refused(self.expression, f"the constant {name} is not known here")

    def _member(self, node: Member, item: tuple[str, ...] | bool | None, only: str = "") -> Compiled:
        name = node.name
        if node.of is None and item is None and name[0].isupper():
            return self._start(name)
        of = Compiled(lambda items, root: items, self._here(item)) if node.of is None else self.compile(node.of, item)
        if of.types is None or any(type in ("Resource", "DomainResource") for type in of.types):
            return self._dynamic(of.run, name, only)
        keys: dict[str, list[str]] = {}
        for type in of.types:
            found = elements.element(type, name)
            for key in found.keys if found else ():
                if not only or key.type.lower() == only.lower() or not _is_choice(found):
                    keys.setdefault(key.name, []).append(key.type)
        types = tuple(dict.fromkeys(type for types in keys.values() for type in types))
        return Compiled(_steps(of.run, tuple(keys)), types)

    def _start(self, name: str) -> Compiled:
        """`Patient` at the head of a path: the resource when it is of that type."""
        if self.type is None:
            return Compiled(lambda items, root: [i for i in items if isinstance(i, dict) and i.get("resourceType") == name], (name,))
        if name in elements.ancestors(self.type):
            return Compiled(_itself, (self.type,))
        if definitions().structure(name) is None:
            raise refused(self.expression, f"{name} is no FHIR type")
        return Compiled(_nothing, ())

    def _dynamic(self, of: Run, name: str, only: str) -> Compiled:
        """A member of something whose type is known only when it runs (Bundle.entry.resource, contained)."""
        choice = name + only[:1].upper() + only[1:]

        def run(items: Items, root: Any) -> Items:
            out: Items = []
            for item in of(items, root):
                if isinstance(item, dict):
                    value = item.get(name)
                    if value is None:
                        value = next((v for k, v in item.items() if (k == choice if only else k.startswith(name) and k[len(name):len(name) + 1].isupper())), None)
                    out.extend(value if isinstance(value, list) else () if value is None else (value,))
            return out

        return Compiled(run, None)

    def _call(self, of: Node | None, name: str, arguments: tuple[Node, ...], item: tuple[str, ...] | bool | None) -> Compiled:
        from icops_fhir.fhir.path_functions import FUNCTIONS

        if name in ("as", "ofType") and len(arguments) == 1 and isinstance(arguments[0], Member) and of is not None:
            return self.as_type(of, arguments[0].name, item)
        before = Compiled(_itself, self._here(item)) if of is None else self.compile(of, item)
        if name == "is" and len(arguments) == 1 and isinstance(arguments[0], Member):
            return self._is(before, arguments[0].name)
        if (function := FUNCTIONS.get(name)) is None:
            raise refused(self.expression, f"the function {name}() is not known here")
        return function(self, before, arguments)

    def as_type(self, of: Node, name: str, item: tuple[str, ...] | bool | None) -> Compiled:
        """`value as Quantity`: the key of that type, when the definitions know the choice."""
        if isinstance(of, Member) and not (of.of is None and item is None and of.name[0].isupper()):
            chosen = self._member(of, item, name)
            return chosen if chosen.types is None or not chosen.types else Compiled(chosen.run, tuple(t for t in chosen.types if _kind_of(t, name)) or (name,))
        before = self.compile(of, item)
        if before.types is not None and all(_kind_of(type, name) for type in before.types):
            return before
        return Compiled(lambda items, root: [i for i in before.run(items, root) if _looks(i, name)], (name,))

    def _is(self, of: Compiled, name: str) -> Compiled:
        if of.types and all(_kind_of(type, name) for type in of.types):
            return Compiled(lambda items, root: [True] if of.run(items, root) else [], ("boolean",))

        def run(items: Items, root: Any) -> Items:
            found = of.run(items, root)
            return [_looks(found[0], name)] if len(found) == 1 else []

        return Compiled(run, ("boolean",))

    def _index(self, of: Compiled, at: Compiled) -> Compiled:
        def run(items: Items, root: Any) -> Items:
            found, place = of.run(items, root), at.run(items, root)
            return found[place[0] : place[0] + 1] if place and isinstance(place[0], int) and place[0] >= 0 else []

        return Compiled(run, of.types)

    def _operation(self, operator: str, left: Compiled, right: Compiled) -> Compiled:
        from icops_fhir.fhir.path_functions import OPERATORS, union

        if operator == "|":
            types = None if left.types is None or right.types is None else tuple(dict.fromkeys((*left.types, *right.types)))
            if left.run is _nothing or right.run is _nothing:
                return Compiled(right.run if left.run is _nothing else left.run, types)
            return Compiled(lambda items, root: union(left.run(items, root), right.run(items, root)), types)
        if (apply := OPERATORS.get(operator)) is None:
            raise refused(self.expression, f"the operator {operator} is not known here")
        return Compiled(lambda items, root: apply(left.run(items, root), right.run(items, root)), None)


# ------------------------------------------------------------------ steps


def _itself(items: Items, root: Any) -> Items:
    return items


def _nothing(items: Items, root: Any) -> Items:
    return []


def _steps(of: Run, names: tuple[str, ...]) -> Run:
    if not names or of is _nothing:
        return _nothing
    if len(names) > 1:
        single = [_steps(_itself, (name,)) for name in names]
        return lambda items, root: [value for step in single for value in step(of(items, root), root)]
    name = names[0]

    def first(items: Items, root: Any) -> Items:
        out: Items = []
        for item in items:
            if isinstance(item, dict) and (value := item.get(name)) is not None:
                if isinstance(value, list):
                    out.extend(value if None not in value else [v for v in value if v is not None])
                else:
                    out.append(value)
        return out

    return first if of is _itself else lambda items, root: first(of(items, root), root)


def _is_choice(element: elements.Element | None) -> bool:
    return element is not None and element.definition["path"].endswith("[x]")


def _kind_of(type: str, name: str) -> bool:
    return type.lower() == name.lower() or (type[:1].isupper() and name in elements.ancestors(type))


_JSON_TYPES: dict[str, Callable[[Any], bool]] = {
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "decimal": lambda value: not isinstance(value, (bool, str, dict)),
    "quantity": lambda value: isinstance(value, dict) and ("value" in value or "unit" in value) and "coding" not in value,
    "range": lambda value: isinstance(value, dict) and ("low" in value or "high" in value),
    "period": lambda value: isinstance(value, dict) and ("start" in value or "end" in value),
    "codeableconcept": lambda value: isinstance(value, dict) and ("coding" in value or "text" in value),
    "reference": lambda value: isinstance(value, dict) and ("reference" in value or "identifier" in value or "display" in value),
}


def _looks(value: Any, name: str) -> bool:
    """Whether a JSON value can be of a type, when nothing else says so."""
    if isinstance(value, dict) and "resourceType" in value:
        return _kind_of(str(value["resourceType"]), name)
    test = _JSON_TYPES.get(name.lower())
    return test(value) if test else isinstance(value, dict) == name[:1].isupper()
