"""`icops-fhir explain FILE…`: each leaf of a message, mapped where or carried."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from icops_fhir.fhir.issue import FhirError
from icops_fhir.mappers.explain import explain, summary


def run(args: argparse.Namespace) -> int:
    """A line a leaf; values only when asked for. 0 done, 1 not a message, 2 unreadable."""
    worst = 0
    for name in args.files:
        try:
            leaves = explain(sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes())
        except OSError as error:
            print(f"{name}: {error.strerror}", file=sys.stderr)
            worst = 2
            continue
        except FhirError as error:
            print(f"{name}: {'; '.join(f'{i.diagnostics} / {i.french}' for i in error.issues)}", file=sys.stderr)
            worst = max(worst, 1)
            continue
        if args.json:
            rows = [{k: v for k, v in leaf._asdict().items() if k != "text" or args.values} for leaf in leaves]
            print(json.dumps({"file": name, "leaves": rows, "percent": summary(leaves)}, ensure_ascii=False))
            continue
        if len(args.files) > 1:
            print(f"# {name}")
        for leaf in leaves:
            print(f"{leaf.path:<20} {leaf.state:<9} {leaf.where}{f'   {leaf.text!r}' if args.values else ''}")
        print("  ".join(f"{state} {share} %" for state, share in summary(leaves).items()))
    return worst
