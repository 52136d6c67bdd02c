"""`icops-fhir convert`: files, standard input, or a JSON-lines filter."""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import sys
from pathlib import Path

from icops_fhir.fhir.issue import FhirError
from icops_fhir.operations.convert import convert


def run(args: argparse.Namespace) -> int:
    """Translate what is asked; 0 when all went well, 1 when some content was refused, 2 when a file cannot be read."""
    if args.stdio:
        return _stdio(args.source, args.target)
    worst = 0
    for name in args.files or ["-"]:
        try:
            content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        except OSError as error:
            print(f"{name}: {error.strerror}", file=sys.stderr)
            worst = max(worst, 2)
            continue
        try:
            out = convert(content, args.source, args.target)
        except FhirError as error:
            worst = max(worst, 1)
            for issue in error.issues:
                print(f"{name}: {', '.join(issue.expression)} {issue.diagnostics} / {issue.french}", file=sys.stderr)
            continue
        if args.out:
            suffix = ".json" if args.target == "fhir" else ".hl7"
            target = Path(args.out) / (Path(name).stem + suffix)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(out)
        else:
            sys.stdout.buffer.write(out + (b"\n" if args.target == "fhir" else b""))
    return worst


def _stdio(source: str, target: str) -> int:
    for line in sys.stdin.buffer:
        if not line.strip():
            continue
        answer: dict[str, object] = {"id": None}
        try:
            request = json.loads(line)
            answer["id"] = request.get("id")
            content = base64.b64decode(request["content"], validate=True)
            answer["content"] = base64.b64encode(convert(content, source, target)).decode()
        except FhirError as error:
            answer["error"] = "; ".join(issue.diagnostics for issue in error.issues)
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
            answer["error"] = f"{type(error).__name__}: {error}"
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()
    return 0
