"""References between resources: relative, absolute, urn, contained.

https://hl7.org/fhir/R4/references.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

# The pattern of the specification (references.html#literal), any type name.
_LITERAL = re.compile(
    r"(?P<base>https?://[A-Za-z0-9\-\\.:%$/_@~]*?/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})"
    r"(?:/_history/(?P<version>[A-Za-z0-9\-.]{1,64}))?(?:#(?P<fragment>.*))?"
)


class Reference(NamedTuple):
    """A reference taken apart; `text` is what was written, and every other part is empty when it is not there."""

    text: str
    type: str = ""
    id: str = ""
    version: str = ""
    base: str = ""  # "https://server/fhir", without the last slash; empty when relative
    fragment: str = ""  # "#x": fragment x; a contained resource when there is no type
    urn: str = ""  # "urn:uuid:…" or "urn:oid:…"

    @property
    def literal(self) -> bool:
        """Type and id are known: RESTful, relative or absolute."""
        return bool(self.id)

    @property
    def relative(self) -> bool:
        return bool(self.id) and not self.base

    @property
    def absolute(self) -> bool:
        return bool(self.base) or bool(self.urn) or "://" in self.text

    @property
    def contained(self) -> bool:
        """`#id`, or `#` for the container itself."""
        return self.text.startswith("#")

    @property
    def local(self) -> str:
        """`Type/id`, empty when it is not a RESTful reference."""
        return f"{self.type}/{self.id}" if self.id else ""


def parse(text: str) -> Reference:
    """The parts of a reference; one that is no RESTful url, urn or fragment keeps only its text (a logical url)."""
    if text.startswith("urn:"):
        urn, _, fragment = text.partition("#")
        return Reference(text, urn=urn, fragment=fragment)
    if text.startswith("#"):
        return Reference(text, fragment=text[1:])
    found = _LITERAL.fullmatch(text)
    if found is None:
        return Reference(text)
    return Reference(
        text, found["type"], found["id"], found["version"] or "", (found["base"] or "").rstrip("/"), found["fragment"] or ""
    )


def walk(resource: Any, path: str = "") -> Iterator[tuple[dict[str, Any], str]]:
    """Each element of the resource that holds a `reference`, with its path (`Task.input[0].valueReference`)."""
    if not path and isinstance(resource, dict):
        path = str(resource.get("resourceType", ""))
    stack: list[tuple[Any, str]] = [(resource, path)]
    while stack:
        node, at = stack.pop()
        if isinstance(node, dict):
            if isinstance(node.get("reference"), str):
                yield node, at
            stack.extend(
                (child, f"{at}.{name}" if at else name)
                for name, child in reversed(node.items())
                if isinstance(child, (dict, list))
            )
        elif isinstance(node, list):
            stack.extend((node[i], f"{at}[{i}]") for i in range(len(node) - 1, -1, -1) if isinstance(node[i], (dict, list)))
