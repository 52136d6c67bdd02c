"""HL7 v2 bytes -> a Bundle of type message, a function: the same bytes give the same Bundle, ids included.

Ids are names made from the content and a rank (RFC 9562 §5.8). https://hl7.org/fhir/R4/messaging.html
"""

from __future__ import annotations

import hashlib

from icops_fhir.mappers.codec import Node
from icops_fhir.mappers.v2 import carried, er7, line
from icops_fhir.mappers.v2.context import context
from icops_fhir.mappers.v2.decoding import Decoding
from icops_fhir.mappers.v2.er7 import Message
from icops_fhir.mappers.v2.site import DEFAULT, Site


def decode(raw: bytes | Message, site: Site = DEFAULT) -> Node:
    """HL7 v2 bytes -> Bundle. Raises FhirError (ack AR) when the bytes hold no message."""
    message = raw if isinstance(raw, Message) else er7.parse(raw, site)
    state = Decoding(message, context(message, site), {"resourceType": "Bundle", "type": "message"})
    for one in message.segments:
        line.read(state, one)
    state.settle()
    return _assemble(state, site)


def _assemble(state: Decoding, site: Site) -> Node:
    message, bundle = state.message, state.bundle
    seed = hashlib.sha256(message.raw or er7.render(message)).hexdigest()
    urls: dict[int, str] = {}
    resources = state.entries + state.late
    listed = {id(one) for one in resources}
    for _, target in state.context.nested:
        if id(target) not in listed:
            listed.add(id(target))
            resources.append(target)
    header = next(one for one in resources if one["resourceType"] == "MessageHeader")
    resources.remove(header)
    resources.insert(0, header)
    for n, one in enumerate(resources):
        urls[id(one)] = _uuid(seed, n)
    for reference, target in state.context.nested:
        reference["reference"] = f"urn:uuid:{urls[id(target)]}"
    for nodes, entry in state.waiting:
        entry["extension"][1:1] = [
            {"url": alias, "valueReference": {"reference": f"urn:uuid:{urls[id(node)]}"}} for alias, node in nodes.items()
        ]
    extensions = header.setdefault("extension", [])
    extensions[:0] = [*_encoding(state, site), *state.order]
    focus = [one for one in resources if one["resourceType"] in ("Patient", "Encounter")]
    if focus:
        header["focus"] = [{"reference": f"urn:uuid:{urls[id(one)]}"} for one in focus]
    bundle["entry"] = [
        {"fullUrl": f"urn:uuid:{urls[id(one)]}", "resource": {"resourceType": one.pop("resourceType"), "id": urls[id(one)], **one}}
        for one in resources
    ]
    return {key: bundle[key] for key in ("resourceType", "meta", "identifier", "type", "timestamp", "entry") if key in bundle}


def _uuid(seed: str, rank: int) -> str:
    """A name-based UUID (RFC 9562 §5.8) of a message and a rank."""
    h = hashlib.blake2b(f"{seed}{rank}".encode(), digest_size=16).hexdigest()
    return f"{h[:8]}-{h[8:12]}-8{h[13:16]}-8{h[17:20]}-{h[20:]}"


def _encoding(state: Decoding, site: Site) -> list[Node]:
    """The v2-encoding extension, when something is not as usual."""
    message = state.message
    parts: list[Node] = []
    if message.charset not in ("utf-8", "ascii"):
        parts.append({"url": "charset", "valueCode": message.charset})
    if message.delimiters != er7.Delimiters():
        d = message.delimiters
        parts.append({"url": "field", "valueString": d.field})
        if d.declared:
            parts.append({"url": "declared", "valueString": d.declared})
    terminator = next((t for t in message.terminators if t), "\r")
    short = {"\n": "LF", "\r\n": "CRLF"}.get(terminator[:2] if terminator[:2] == "\r\n" else terminator[:1])
    if short:
        parts.append({"url": "terminator", "valueCode": short})
    if state.context.zone != site.zone:
        parts.append({"url": "zone", "valueString": state.context.zone})
    if state.context.french:
        parts.append({"url": "french", "valueBoolean": True})
    return [{"url": carried.ENCODING, "extension": parts}] if parts else []
