"""`icops-fhir explain FILE…`: each leaf of a message, mapped where or carried."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from icops_fhir.fhir.issue import FhirError
from icops_fhir.mappers.explain import explain, summary
from icops_fhir.mappers.v2 import er7, structure

_SEQUENCE = re.compile(r"\[\d+\](?=-)")  # the second NK1 of a message is NK1[2]


def run(args: argparse.Namespace) -> int:
    """A line a leaf; values only when asked for. 0 done, 1 not a message, 2 unreadable."""
    worst = 0
    for name in args.files:
        try:
            raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
            leaves = explain(raw)
            message = er7.parse(raw)
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
            found = [{"rule": issue.rule, "path": issue.expression[0], "text": issue.diagnostics} for issue in structure.check(message)]
            print(json.dumps({"file": name, "leaves": rows, "percent": summary(leaves), "structure": found}, ensure_ascii=False))
            continue
        if len(args.files) > 1:
            print(f"# {name}")
        of = structure.version(message)
        for leaf in leaves:
            segment, at = er7.place(_SEQUENCE.sub("", leaf.path))
            said = f"{structure.field_name(segment, at[0], of):<32.32} " if args.names else ""
            print(f"{leaf.path:<20} {said}{leaf.state:<9} {leaf.where}{f'   {leaf.text!r}' if args.values else ''}")
        for issue in structure.check(message):
            print(f"! {issue.diagnostics} / {issue.french}")
        print("  ".join(f"{state} {share} %" for state, share in summary(leaves).items()))
    return worst
