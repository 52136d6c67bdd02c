"""Random resources of any type, shaped by the definitions: every element may stand in them, with values of its type."""

from functools import cache

from hypothesis import strategies as st

from icops_fhir.fhir.elements import _elements
from icops_fhir.fhir.json import Number

PRIMITIVES = {
    "boolean": st.booleans(), "integer": st.integers(0, 9), "positiveInt": st.integers(1, 9), "unsignedInt": st.integers(0, 9),
    "decimal": st.sampled_from([Number("1.50"), 2]), "date": st.sampled_from(["2026", "2026-03", "2026-03-01"]),
    "dateTime": st.sampled_from(["2026-03", "2026-03-01T08:00:00+01:00"]), "instant": st.just("2026-03-01T08:00:00.000Z"), "time": st.just("08:00:00"),
    "xhtml": st.just("<div/>"),
}  # fmt: skip
TEXT = st.sampled_from(["a", "b", "Été", "http://x.org/a", "phone"])
REFERENCE = st.fixed_dictionaries({}, optional={
    "reference": st.sampled_from(["Patient/1", "Group/1", "Location/2", "urn:uuid:0", "#a"]), "identifier": st.just({"system": "s", "value": "1"}), "display": TEXT,
})  # fmt: skip


@cache
def children(type):
    """name -> (JSON name, type, many) of each key an element of this type can have."""
    root = type.partition(".")[0]
    depth = type.count(".") + 1
    return [(key.name, key.type, e.many) for path, e in _elements(root).items() if path.startswith(f"{type}.") and path.count(".") == depth for key in e.keys]


def value(type, depth):
    if type in PRIMITIVES:
        return PRIMITIVES[type]
    if type == "Reference":
        return REFERENCE
    if type == "Extension":
        return st.fixed_dictionaries({"url": TEXT, "valueString": TEXT})
    if type in ("Resource", "Meta", "Narrative") or depth == 0:
        return None
    keys = children(type)
    return members(type, depth - 1, 3) if keys and type[0].isupper() else TEXT


@st.composite
def members(draw, type, depth, most):
    out = {}
    for name, of, many in draw(st.lists(st.sampled_from(children(type)), max_size=most, unique=True)) if children(type) else ():
        inner = value(of, depth)
        if inner is not None:
            out[name] = draw(st.lists(inner, min_size=1, max_size=2)) if many else draw(inner)
    return out


@st.composite
def resource(draw, types):
    type = draw(st.sampled_from(sorted(types)))
    meta = draw(st.fixed_dictionaries({}, optional={"tag": st.just([{"system": "s", "code": "c"}]), "profile": st.just(["http://x.org/p|1"]), "source": TEXT}))
    return {"resourceType": type, "id": "1", "meta": meta, **draw(members(type, 3, 8))}
