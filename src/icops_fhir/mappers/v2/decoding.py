"""The state of a message on its way to a Bundle: which resources there are, and which references wait for theirs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from icops_fhir.mappers.codec import Context, Node
from icops_fhir.mappers.v2.codes import ABSENT
from icops_fhir.mappers.v2.er7 import Message
from icops_fhir.mappers.v2.row import Alias


class _Waiting(NamedTuple):
    """A reference to the resource of an alias that may not be there yet, and where to take it from if it never comes."""

    reference: Node
    alias: str
    required: bool
    holder: Any
    key: Any
    outer: Any


@dataclass(slots=True)
class Decoding:
    """A message on its way to a Bundle: the resources there are, those that are current, the references that wait."""

    message: Message
    context: Context
    bundle: Node
    order: list[Node] = field(default_factory=list)  # v2-segment extensions
    entries: list[Node] = field(default_factory=list)
    late: list[Node] = field(default_factory=list)
    current: dict[str, Node] = field(default_factory=dict)
    pending: list[_Waiting] = field(default_factory=list)
    used: set[tuple[str, int]] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)
    waiting: list[tuple[dict[str, Node], Node]] = field(default_factory=list)  # (alias -> resource, segment extension)

    def start(self) -> None:
        """A new message or patient: what waited for the one before waits no longer, what follows belongs to the new one."""
        if "Patient" in self.current:
            self.settle()
        header, bundle = self.current.get("MessageHeader"), self.current.get("Bundle")
        sender = self.current.get("Sender")
        self.current = {k: v for k, v in (("MessageHeader", header), ("Bundle", bundle), ("Sender", sender)) if v is not None}

    def settle(self) -> None:
        """Give the waiting references their targets; take away those that have none, or say that they are unknown."""
        for one in reversed(self.pending):
            target = self.current.get(one.alias)
            if target is not None:
                self.context.nested.append((one.reference, target))
            elif one.required:
                del one.reference["reference"]
                one.reference["extension"] = [dict(ABSENT)]
            elif isinstance(one.holder, list):
                one.holder[:] = [item for item in one.holder if item is not one.reference]
                if not one.holder:
                    one.outer.pop(one.key, None)
            else:
                one.holder.pop(one.key, None)
        self.pending = []

    def fixed(self, value: Any, holder: Any, key: Any, outer: Any = None) -> Any:
        """A copy of what a resource always holds; its references wait for their targets."""
        if isinstance(value, str):
            if value[:1] != "@":
                return value
            reference: Node = {"reference": ""}
            self.pending.append(_Waiting(reference, value[1:].rstrip("!"), value[-1] == "!", holder, key, outer))
            return reference
        if isinstance(value, dict):
            out: Node = {}
            for k, one in value.items():
                out[k] = one if isinstance(one, str) and one[:1] != "@" else self.fixed(one, out, k)
            return out
        if isinstance(value, list):
            items: list[Any] = []
            for one in value:
                items.append(self.fixed(one, items, key, holder))
            return items
        return value

    def make(self, alias: str, spec: Alias) -> Node:
        """The resource of an alias, new, with what it always holds."""
        if spec.type == "Bundle":
            return self.bundle
        node: Node = {"resourceType": spec.type}
        said = spec.fixed(self.context) if callable(spec.fixed) else spec.fixed
        if said:
            for k, one in said.items():
                node[k] = one if isinstance(one, str) and one[:1] != "@" else self.fixed(one, node, k)
        (self.late if spec.late else self.entries).append(node)
        self.current[alias] = node
        return node
