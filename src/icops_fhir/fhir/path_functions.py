"""The functions and operators of FHIRPath, as tables: a new one is one function here.

http://hl7.org/fhirpath/N1/#functions, https://hl7.org/fhir/R4/fhirpath.html#functions
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from icops_fhir.fhir import reference
from icops_fhir.fhir.json import canonical
from icops_fhir.fhir.path import Compiled, Compiler, Items
from icops_fhir.fhir.path_parser import Node, refused

Function = Callable[[Compiler, Compiled, tuple[Node, ...]], Compiled]
BOOLEAN = ("boolean",)


def truth(items: Items) -> bool | None:
    """A collection as a condition: empty is unknown, one non-boolean item is true."""
    if not items:
        return None
    return items[0] if len(items) == 1 and isinstance(items[0], bool) else True


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, (dict, list)) or isinstance(b, (dict, list)):
        return canonical(a) == canonical(b)
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)


def union(left: Items, right: Items) -> Items:
    """All items of both, each once."""
    if not right or not left:
        return left or right
    out: dict[Any, Any] = {}
    for item in (*left, *right):
        out.setdefault(canonical(item), item)
    return list(out.values())


# ------------------------------------------------------------------ functions of the items before the dot


def _plain(apply: Callable[[Items], Items], types: tuple[str, ...] | bool | None = None) -> Function:
    """A function without arguments; `types` True: those of the items."""

    def make(compiler: Compiler, of: Compiled, arguments: tuple[Node, ...]) -> Compiled:
        if arguments:
            raise refused(compiler.expression, "an argument where none is expected")
        return Compiled(lambda items, root: apply(of.run(items, root)), of.types if types is True else types or None)

    return make


def _with(apply: Callable[[Items, Any], Items], keeps: bool = False) -> Function:
    """A function of the items and one computed argument (its first item)."""

    def make(compiler: Compiler, of: Compiled, arguments: tuple[Node, ...]) -> Compiled:
        if len(arguments) != 1:
            raise refused(compiler.expression, "one argument is expected")
        argument = compiler.compile(arguments[0], of.types or True)

        def run(items: Items, root: Any) -> Items:
            found, value = of.run(items, root), argument.run(items, root)
            return apply(found, value[0]) if value else []

        return Compiled(run, of.types if keeps else None)

    return make


def _criteria(apply: Callable[[Items, Callable[[Any], Items]], Items], keeps: bool = False) -> Function:
    """A function of the items and a criterion evaluated on each."""

    def make(compiler: Compiler, of: Compiled, arguments: tuple[Node, ...]) -> Compiled:
        if len(arguments) > 1:
            raise refused(compiler.expression, "one criterion is expected")
        if not arguments:
            return Compiled(lambda items, root: apply(of.run(items, root), lambda item: [True]), of.types if keeps else None)
        each = compiler.compile(arguments[0], of.types or True)

        def run(items: Items, root: Any) -> Items:
            found = of.run(items, root)
            return apply(found, lambda item: each.run([item], root)) if found else apply(found, lambda item: [])

        return Compiled(run, of.types if keeps else each.types)

    return make


def _extension(compiler: Compiler, of: Compiled, arguments: tuple[Node, ...]) -> Compiled:
    if len(arguments) != 1:
        raise refused(compiler.expression, "extension() takes one url")
    url = compiler.compile(arguments[0], of.types or True)

    def run(items: Items, root: Any) -> Items:
        wanted = url.run(items, root)
        return [
            extension for item in of.run(items, root) if isinstance(item, dict) and isinstance(found := item.get("extension"), list)
            for extension in found if isinstance(extension, dict) and [extension.get("url")] == wanted
        ]  # fmt: skip

    return Compiled(run, ("Extension",))


def _has_extension(compiler: Compiler, of: Compiled, arguments: tuple[Node, ...]) -> Compiled:
    found = _extension(compiler, of, arguments)
    return Compiled(lambda items, root: [bool(found.run(items, root))], BOOLEAN)


def _resolve(items: Items) -> Items:
    """What a reference says of its target: the type, and nothing more (a search extractor reads no store)."""
    out: Items = []
    for item in items:
        text = item.get("reference", "") if isinstance(item, dict) else item
        said = item.get("type") if isinstance(item, dict) else None
        target = reference.parse(text).type if isinstance(text, str) and text else ""
        if target or said:
            out.append({"resourceType": target or said})
    return out


def _texts(change: Callable[[str, str], Any]) -> Function:
    return _with(lambda items, value: [change(items[0], str(value))] if items and isinstance(items[0], str) else [])


def _distinct(items: Items) -> Items:
    return union(items, items[:1])


def _children(items: Items) -> Items:
    return [child for item in items if isinstance(item, dict) for value in item.values() for child in (value if isinstance(value, list) else (value,))]


def _descendants(items: Items) -> Items:
    out: Items = []
    while items := _children(items):
        out.extend(items)
    return out


FUNCTIONS: dict[str, Function] = {
    "where": _criteria(lambda items, test: [item for item in items if truth(test(item)) is True], keeps=True),
    "exists": _criteria(lambda items, test: [any(truth(test(item)) is True for item in items)]),
    "all": _criteria(lambda items, test: [all(truth(test(item)) is True for item in items)]),
    "select": _criteria(lambda items, of: [value for item in items for value in of(item)]),
    "empty": _plain(lambda items: [not items], BOOLEAN),
    "not": _plain(lambda items: [] if truth(items) is None else [not truth(items)], BOOLEAN),
    "count": _plain(lambda items: [len(items)], ("integer",)),
    "first": _plain(lambda items: items[:1], True),
    "last": _plain(lambda items: items[-1:], True),
    "tail": _plain(lambda items: items[1:], True),
    "single": _plain(lambda items: items if len(items) == 1 else [], True),
    "skip": _with(lambda items, n: items[n:], keeps=True),
    "take": _with(lambda items, n: items[:n], keeps=True),
    "distinct": _plain(_distinct, True),
    "isDistinct": _plain(lambda items: [len(_distinct(items)) == len(items)], BOOLEAN),
    "hasValue": _plain(lambda items: [len(items) == 1 and not isinstance(items[0], dict)], BOOLEAN),
    "children": _plain(_children),
    "descendants": _plain(_descendants),
    "extension": _extension,
    "hasExtension": _has_extension,  # not FHIRPath, but QuestionnaireResponse-item-subject says it
    "resolve": _plain(_resolve),
    "startsWith": _texts(lambda text, value: text.startswith(value)),
    "endsWith": _texts(lambda text, value: text.endswith(value)),
    "contains": _texts(lambda text, value: value in text),
    "matches": _texts(lambda text, value: re.search(value, text) is not None),
    "lower": _plain(lambda items: [str(item).lower() for item in items], ("string",)),
    "upper": _plain(lambda items: [str(item).upper() for item in items], ("string",)),
    "length": _plain(lambda items: [len(str(item)) for item in items[:1]], ("integer",)),
    "toString": _plain(lambda items: [str(item).lower() if isinstance(item, bool) else str(item) for item in items[:1]], ("string",)),
}


# ------------------------------------------------------------------ operators


def _equal(left: Items, right: Items) -> Items:
    if not left or not right:
        return []
    return [len(left) == len(right) and all(map(_same, left, right))]


def _compare(test: Callable[[Any, Any], bool]) -> Callable[[Items, Items], Items]:
    def apply(left: Items, right: Items) -> Items:
        if len(left) != 1 or len(right) != 1:
            return []
        a, b = (Decimal(str(x)) if isinstance(x, (int, Decimal)) and not isinstance(x, bool) else x for x in (left[0], right[0]))
        return [test(a, b)] if type(a) is type(b) else []

    return apply


def _number(apply: Callable[[Any, Any], Any]) -> Callable[[Items, Items], Items]:
    def run(left: Items, right: Items) -> Items:
        if len(left) != 1 or len(right) != 1 or isinstance(left[0], dict) or isinstance(left[0], str) != isinstance(right[0], str):
            return []
        return [apply(left[0], right[0])]

    return run


def _and(left: bool | None, right: bool | None) -> bool | None:
    if left is False or right is False:
        return False
    return None if left is None or right is None else True


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _or(left: bool | None, right: bool | None) -> bool | None:
    return _not(_and(_not(left), _not(right)))


def _xor(left: bool | None, right: bool | None) -> bool | None:
    return None if left is None or right is None else left != right


def _logic(apply: Callable[[bool | None, bool | None], bool | None]) -> Callable[[Items, Items], Items]:
    def run(left: Items, right: Items) -> Items:
        answer = apply(truth(left), truth(right))
        return [] if answer is None else [answer]

    return run


OPERATORS: dict[str, Callable[[Items, Items], Items]] = {
    "=": _equal,
    "!=": lambda left, right: [not answer for answer in _equal(left, right)],
    "and": _logic(_and),
    "or": _logic(_or),
    "xor": _logic(_xor),
    "implies": _logic(lambda left, right: _or(_not(left), right)),
    "<": _compare(lambda a, b: a < b),
    ">": _compare(lambda a, b: a > b),
    "<=": _compare(lambda a, b: a <= b),
    ">=": _compare(lambda a, b: a >= b),
    "in": lambda left, right: [any(_same(left[0], item) for item in right)] if left else [],
    "contains": lambda left, right: [any(_same(right[0], item) for item in left)] if right else [],
    "+": _number(lambda a, b: a + b),
    "-": _number(lambda a, b: a - b),
    "*": _number(lambda a, b: a * b),
    "&": lambda left, right: ["".join(str(item) for item in (*left[:1], *right[:1]))],
}
