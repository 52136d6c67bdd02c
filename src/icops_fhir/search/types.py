"""The search parameter types there are, by the name SearchParameter.type gives them: a new one is one file and one line.

https://hl7.org/fhir/R4/valueset-search-param-type.html
"""

from __future__ import annotations

from icops_fhir.search import date, number, quantity, reference, string, token, uri
from icops_fhir.search.condition import ParameterType

TYPES: dict[str, ParameterType] = {
    "string": string,
    "token": token,
    "reference": reference,
    "date": date,
    "number": number,
    "quantity": quantity,
    "uri": uri,
}
# Known to the standard, not yet to us: refused with their name.
NOT_YET = {"composite": "composite search parameters", "special": "special search parameters"}

# How many columns each index table has after pk and parameter.
WIDTH = {"string": 2, "token": 2, "reference": 3, "date": 2, "number": 2, "quantity": 4, "uri": 1}
