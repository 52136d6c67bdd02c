"""string: starts with, accents, case, hyphens and apostrophes folded; :exact, :contains.

https://hl7.org/fhir/R4/search.html#string
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from icops_fhir.search.condition import Condition, IndexRow, Predicate, any_of, unescape
from icops_fhir.search.parameters import Parameter

TABLE = "string"
MODIFIERS = frozenset({"exact", "contains"})

# A longer text (a narrative, a policy) is searched by its beginning.
LONGEST = 2048

HUMAN_NAME = ("text", "family", "given", "prefix", "suffix")
ADDRESS = ("text", "line", "city", "district", "state", "postalCode", "country")
# Letters Unicode does not take apart, and the marks people write in several ways.
_LETTERS = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "-": " ", "'": " ", "’": " ", "‐": " ", "‑": " ", "`": " "})
_SPACES = re.compile(r"\s+")


@lru_cache(maxsize=2048)  # one resource says the same name to several parameters
def norm(text: str) -> str:
    """The text as it is compared: `Jean-François  LŒB` is `jean francois loeb`."""
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c)).casefold()
    else:
        text = text.lower()
    return _SPACES.sub(" ", text.translate(_LETTERS)).strip()


def _parts(value: dict[str, Any]) -> list[str]:
    names = HUMAN_NAME if any(name in value for name in ("family", "given", "prefix", "suffix")) else ADDRESS
    out: list[str] = []
    for name in names:
        part = value.get(name)
        if isinstance(part, str):
            out.append(part)
        elif isinstance(part, list):
            out.extend(item for item in part if isinstance(item, str))
    return out


def rows(value: Any, parameter: int) -> Sequence[IndexRow]:
    """string, markdown, HumanName, Address; each part is a row."""
    texts = [value] if isinstance(value, str) else _parts(value) if isinstance(value, dict) else []
    return [IndexRow(TABLE, parameter, (norm(text[:LONGEST]), text[:LONGEST])) for text in texts]


def _one(modifier: str, text: str) -> Predicate:
    plain = norm(text[:LONGEST])
    if modifier == "exact":
        return Predicate("(x.norm = ? AND x.exact = ?)", (plain, text[:LONGEST]))
    if modifier == "contains":
        escaped = re.sub(r"([\\%_])", r"\\\1", plain)
        return Predicate("x.norm LIKE ? ESCAPE '\\'", (f"%{escaped}%",))
    return Predicate("(x.norm >= ? AND x.norm < ?)", (plain, plain + "\U0010ffff"))


def where(parameter: Parameter, modifier: str, values: Sequence[str]) -> Condition:
    """Any of the values."""
    weight = {"exact": 2, "": 3}.get(modifier, 6)
    return Condition(TABLE, parameter.number, any_of(_one(modifier, unescape(value)) for value in values), weight=weight)
