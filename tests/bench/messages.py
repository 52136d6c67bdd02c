"""The ADT messages that are measured: our examples, and the public corpus where it is present."""

import json
import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "hl7v2"
CORPUS = Path(os.environ.get("ICOPS_CORPUS") or ROOT.parent / "shared") / "corpus" / "hl7v2"


def adt() -> list[bytes]:
    """Every whole ADT message of each folder that has an index."""
    found = []
    for folder in (EXAMPLES, CORPUS):
        index = folder / "index.json"
        entries = json.loads(index.read_text("utf-8")) if index.exists() else []
        found += [(folder / entry["id"]).read_bytes() for entry in entries if entry["type"] == "ADT" and entry["quality"] == "full"]
    return found
