"""The operations of the service: a file in this folder with `@operation("name", on="Patient", at="instance")` is one.

https://hl7.org/fhir/R4/operations.html
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from typing import NamedTuple

import icops_fhir.operations as folder
from icops_fhir.interactions.request import Answer, Request, Service

LEVELS = ("system", "type", "instance")
Handler = Callable[[Service, Request], Awaitable[Answer]]


class Operation(NamedTuple):
    """One `$name` at one level of one type (type "" at system level)."""

    name: str
    type: str
    level: str
    methods: frozenset[str]
    definition: str
    handler: Handler


def operation(
    name: str, *, on: str | Iterable[str] = "", at: str | Iterable[str] = "system",
    methods: Iterable[str] = ("GET", "POST"), definition: str = "",
) -> Callable[[Handler], Handler]:
    """Registers `async def f(service, request) -> Answer` as `$name`, on these types, at these levels."""
    types = (on,) if isinstance(on, str) else tuple(on)
    levels = (at,) if isinstance(at, str) else tuple(at)
    unknown = set(levels) - set(LEVELS)
    if unknown:
        raise ValueError(f"{name}: unknown level {unknown}; one of {LEVELS}")

    def register(handler: Handler) -> Handler:
        canonical = definition or f"https://icops-fhir.org/fhir/OperationDefinition/{name}"
        for level in levels:
            for type_ in ("",) if level == "system" else types:
                _OPERATIONS[name, type_, level] = Operation(name, type_, level, frozenset(methods), canonical, handler)
        return handler

    return register


@cache
def operations() -> tuple[Operation, ...]:
    """Every operation of this folder; importing a file registers what it holds."""
    for module in pkgutil.iter_modules(folder.__path__, f"{folder.__name__}."):
        importlib.import_module(module.name)
    return tuple(_OPERATIONS[key] for key in sorted(_OPERATIONS))


def find(name: str, type_: str, level: str) -> Operation | None:
    """The operation of that name, there."""
    operations()
    return _OPERATIONS.get((name, type_, level))


_OPERATIONS: dict[tuple[str, str, str], Operation] = {}
