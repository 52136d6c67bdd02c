"""Write the index of these messages again: index.json, all.txt and the table of README.md, from the files themselves.

python examples/hl7v2/index.py             index.json, all.txt, README.md
python examples/hl7v2/index.py --convert   also the .json beside each .hl7, by `icops-fhir convert`

What a file shows is the one thing a program cannot read in it: write that sentence in index.json, under "shows".
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ENDS = {"\r": "CR", "\n": "LF", "\r\n": "CR LF"}


def _lines(raw: bytes) -> list[str]:
    return [line for line in re.split(r"\r\n|\r|\n", raw.decode("latin-1")) if line]


def _encoding(raw: bytes) -> str:
    """What the bytes are, whatever MSH-18 says of them."""
    for name in ("ascii", "utf-8"):
        try:
            raw.decode(name)
        except UnicodeDecodeError:
            continue
        return name
    return "8859/15" if re.search(rb"[\xa4\xa6\xa8\xb4\xb8\xbc-\xbe]", raw) else "8859/1"


def _field(line: str, number: int) -> str:
    """Field `number` of a line, whose separator MSH may have changed."""
    parts = line.split(line[3:4] or "|")
    number -= line.startswith("MSH")
    return parts[number] if number < len(parts) else ""


def facts(path: Path) -> dict[str, Any]:
    """What can be read in the file itself."""
    raw = path.read_bytes()
    lines = _lines(raw)
    head = lines[0] if lines and lines[0][:3] == "MSH" else ""
    component, escape = (head[4:5] or "^"), (head[6:7] or "\\")
    event = [*_field(head, 9).split(component), "", "", ""]
    names = [line[:3] for line in lines if re.match(r"[A-Z][A-Z0-9]{2}\W|[A-Z][A-Z0-9]{2}$", line)]
    movement = next((line for line in lines if line[:3] == "ZBE"), "")
    ends = re.findall(r"\r\n|\r|\n", raw.decode("latin-1"))
    body = "\n".join(lines).replace(head[3:8], "", 1)
    return {
        "id": path.name,
        "type": event[0],
        "trigger": event[1],
        "structure": event[2],
        "version": _field(head, 12).split(component)[0],
        "msh18": _field(head, 18),
        "size": len(raw),
        "segments": names,
        "z_segments": sorted({name for name in names if name[0] == "Z"}),
        "has_escapes": escape in body,
        "has_nonascii": not raw.isascii(),
        "encoding": _encoding(raw),
        "has_null": '""' in body,
        "ugly": [],
        "quality": "invalid" if path.name.startswith("invalid-") else "full",
        "action": _field(movement, 4),
        "original": _field(movement, 6).split(component)[0],
        "terminator": " and ".join(dict.fromkeys(ENDS[end] for end in ends)) or "none",
    }


def entries() -> Iterator[dict[str, Any]]:
    """The facts of every file, with the sentence and the expected error the index already holds."""
    index = HERE / "index.json"
    known = {entry["id"]: entry for entry in json.loads(index.read_text("utf-8"))} if index.exists() else {}
    for path in sorted(HERE.glob("*.hl7")):
        kept = {name: known.get(path.name, {}).get(name) for name in ("shows", "expected")}
        yield {**facts(path), "shows": kept["shows"] or "", **({"expected": kept["expected"]} if kept["expected"] else {})}


def _row(entry: dict[str, Any]) -> str:
    action = entry["action"] + (f" of {entry['original']}" if entry["original"] else "")
    cells = (f"[{entry['id']}]({entry['id']})", entry["trigger"], action, entry["encoding"], entry["terminator"], entry["shows"].replace("|", "\\|"))
    return "| " + " | ".join(cells) + " |"


def readme(index: list[dict[str, Any]]) -> str:
    """The page of this folder."""
    good, bad = [e for e in index if e["quality"] == "full"], [e for e in index if e["quality"] != "full"]
    head = "| File | Event | ZBE-4 | Bytes | Ends | What it shows |\n|---|---|---|---|---|---|\n"
    refused = "| File | Answer | What it shows |\n|---|---|---|\n" + "".join(
        f"| [{e['id']}]({e['id']}) | {e.get('expected', {}).get('ack', '')} `{e.get('expected', {}).get('rule', '')}` | {e['shows']} |\n" for e in bad)
    return (
        "# HL7 v2 messages and the FHIR they become\n\n"
        f"{len(good)} synthetic messages of the French patient administration profile (IHE PAM, national extension 2.11), and {len(bad)} that are refused.\n"
        "Nobody in them exists: names, numbers and places are ours, INS are of the test authority `1.2.250.1.213.1.4.10`.\n\n"
        "`x.json` is what `icops-fhir convert --from hl7v2 --to fhir x.hl7` gives; `convert --from fhir --to hl7v2 x.json` gives `x.hl7` back.\n"
        "This page, `index.json` and `all.txt` are written by `python examples/hl7v2/index.py`.\n\n"
        + head + "".join(_row(entry) + "\n" for entry in good) + "\n## Refused\n\n" + refused
    )


def _layout(value: Any, indent: int = 0) -> str:
    """JSON for reading: what fits on a line stays on it; numbers keep their text."""
    flat = _flat(value)
    if len(flat) + indent <= 120 or not isinstance(value, dict | list) or not value:
        return flat
    pad, end = "\n" + " " * (indent + 1), "\n" + " " * indent
    if isinstance(value, dict):
        return "{" + ",".join(f"{pad}{_text(name)}: {_layout(item, indent + 1)}" for name, item in value.items()) + end + "}"
    return "[" + ",".join(pad + _layout(item, indent + 1) for item in value) + end + "]"


class _Number(str):
    """A number, as it was written."""


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _flat(value: Any) -> str:
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(name)}: {_flat(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flat, value)) + "]"
    return _text(value)


def layout(data: bytes) -> bytes:
    """Compact JSON as lines a person can read and compare."""
    return _layout(json.loads(data, parse_int=_Number, parse_float=_Number)).encode() + b"\n"


def convert() -> None:
    """The .json beside each .hl7."""
    from icops_fhir.fhir.json import dumps
    from icops_fhir.mappers.v2.message import decode

    for path in sorted(HERE.glob("adt_*.hl7")):
        path.with_suffix(".json").write_bytes(layout(dumps(decode(path.read_bytes()))))


def main() -> None:
    index = list(entries())
    lines = [json.dumps(entry, ensure_ascii=False) for entry in index]
    (HERE / "index.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", "utf-8")
    (HERE / "all.txt").write_text("".join(entry["id"] + "\n" for entry in index if entry["quality"] == "full"), "utf-8")
    (HERE / "README.md").write_text(readme(index), "utf-8")
    if "--convert" in sys.argv:
        convert()


if __name__ == "__main__":
    main()
