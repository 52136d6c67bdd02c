"""A Bundle of type message -> HL7 v2 bytes, from the Bundle alone."""

from __future__ import annotations

from icops_fhir.mappers import registry
from icops_fhir.mappers.codec import Node
from icops_fhir.mappers.v2 import carried, charset, er7
from icops_fhir.mappers.v2.plan import Owned, append_fresh, carried_by, context_of, header_of, said_by, writings
from icops_fhir.mappers.v2.site import DEFAULT, Site


def encode(bundle: Node, site: Site = DEFAULT) -> bytes:
    """Bundle -> HL7 v2 bytes. Raises FhirError when the Bundle was not made from a message."""
    header = header_of(bundle)
    usual = next((said_by(e) for e in header["extension"] if e.get("url") == carried.ENCODING), {})
    d = er7.delimiters(f"MSH{usual['field']}{usual.get('declared', '')}") if "field" in usual else er7.Delimiters()
    about = context_of(bundle, header, usual, site)
    owned: Owned = {}
    planned = writings(bundle, header, about)
    append_fresh(bundle, planned, about)
    lines = []
    for one in planned:
        if not one.name:
            lines.append(one.line)
            continue
        table = registry.segment(one.name)
        leaves, spellings = dict(one.leaves), dict(one.spellings)
        if table is not None and one.nodes:
            found, more = carried_by(table, one.nodes, owned, about)
            leaves = {**table.restore(one.nodes, found, about), **leaves}
            spellings |= more
        raw = {at: _spelling(text, spellings.get(at), d) for at, text in leaves.items()}
        lines.append(er7.line(one.name, raw, d))
    terminator = {"LF": "\n", "CRLF": "\r\n"}.get(usual.get("terminator") or "", "\r")
    whole = "".join(line + terminator for line in lines)
    codec = usual.get("charset") or "utf-8"
    out, used = charset.encode(whole, codec if codec in set(charset.HL70211.values()) | {"latin-1", "utf-16-le", "utf-16-be"} else "utf-8")
    if used != codec:
        at = next(i for i, line in enumerate(lines) if line.startswith("MSH"))
        parts = lines[at].split(d.field)
        parts += [""] * (18 - len(parts))
        parts[17] = charset.label("utf-8")
        lines[at] = d.field.join(parts)
        out = "".join(line + terminator for line in lines).encode("utf-8", "surrogatepass")
    if codec.startswith("utf-16"):
        out = (b"\xff\xfe" if codec.endswith("le") else b"\xfe\xff") + out
    return out


def _spelling(text: str, raw: str | None, d: er7.Delimiters) -> str:
    if raw is not None and er7.text(raw, d) == text:
        return raw
    return er7.NULL if text == er7.NULL else er7.escape(text, d)
