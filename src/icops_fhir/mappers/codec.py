"""Two-way mappings, written once.

A *codec* is a pair  decode: foreign -> FHIR,  encode: FHIR -> foreign. A *path* is one place in a FHIR
resource, readable and writable. A table of rows (foreign place, path, codec) is itself a codec.
Whatever the rows do not say, `carry` keeps: no row can lose data.

The one law every codec obeys (tests/laws): decode(encode(decode(x))) == decode(x).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

Node = dict[str, Any]


@dataclass(slots=True)
class Context:
    """What a codec may need beside its argument. One per translation.

    zone     default zone of times without one: an IANA name or an offset "+0100"
    event    "A01"; french: the message follows the French extension (MSH-17 or MSH-12)
    resolve  reference text -> resource, while encoding
    nested   (Reference element, the resource it shall point to), while decoding
    left     set by a codec that has just decoded, when it knows: encoding its value would give back all it was given
             but the leaves at these (component, subcomponent), from 1; None when it does not know
    sure     the (field, repetition) of the segment at hand that were read so, with what is left: no second look
    """

    zone: str = "Europe/Paris"
    event: str = ""
    french: bool = False
    namespaces: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    resolve: dict[str, Node] = field(default_factory=dict)
    nested: list[tuple[Node, Node]] = field(default_factory=list)
    left: Sequence[tuple[int, int]] | None = None
    sure: dict[tuple[int, int], Sequence[tuple[int, int]]] = field(default_factory=dict)

    def target(self, reference: Any) -> Node | None:
        """The resource a Reference element points to, inside this translation."""
        to = reference.get("reference") if isinstance(reference, dict) else None
        return to if isinstance(to, dict) else self.resolve.get(to) if isinstance(to, str) else None


class Codec(NamedTuple):
    """decode(foreign, context) -> FHIR value or None; encode(FHIR value, context) -> foreign or None.

    reads   the (component, subcomponent), from 0, that decode looks at; None when it may look at any
    paths   where each of them goes, for people to read
    exact   of a leaf codec: encode(decode(x)) == x wherever decode gives a value; or a function that tells it of
            (x, value, context)
    members of a codec whose element is merged into its parent: the members it reads and writes; None when any
    """

    decode: Callable[[Any, Context], Any]
    encode: Callable[[Any, Context], Any]
    reads: frozenset[tuple[int, int]] | None = None
    paths: Mapping[tuple[int, int], str] = MappingProxyType({})
    exact: bool | Callable[[Any, Any, Context], bool] = False
    members: frozenset[str] | None = None


def plain(decode: Callable[[Any], Any], encode: Callable[[Any], Any]) -> Codec:
    """A codec that needs no context."""
    return Codec(lambda x, _: decode(x), lambda y, _: encode(y))
