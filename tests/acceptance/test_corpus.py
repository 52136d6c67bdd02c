"""Every ADT message we have, sent as a user sends them; and the black-box harness on the translation, both ways.

The public corpus and its harness stand beside the project (ICOPS_CORPUS); without them those tests skip, visibly.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from acceptance.served import COMMAND, EXAMPLES, ROOT, corpus, serving
from icops_fhir.exchange import keys
from icops_fhir.exchange.withdrawal import without
from icops_fhir.fhir.json import canonical, loads
from icops_fhir.mappers.v2 import er7
from icops_fhir.mllp.send import files, items
from icops_fhir.store import engine

ADT = re.compile("^ADT")
INTERNAL = {"icops-internal", "mllp-internal-error"}
TO_FHIR, TO_V2 = (f"{COMMAND} convert --stdio --from {a} --to {b}" for a, b in (("hl7v2", "fhir"), ("fhir", "hl7v2")))
COORDINATION = ("PID", "PD1", "NK1", "ROL", "PV1", "PV2", "MRG", "ZBE", "ZFA", "ZFP", "ZFV", "ZFM", "ZFD", "ZFS")


def beside(path: str) -> Path:
    found = corpus() / path
    if not found.exists():
        pytest.skip(f"no {path}: set ICOPS_CORPUS")
    return found


def converted(messages: list[bytes]) -> list[Any]:
    """What `convert` makes of them, through the command."""
    lines = b"".join(json.dumps({"id": n, "content": base64.b64encode(raw).decode()}).encode() + b"\n" for n, raw in enumerate(messages))
    done = subprocess.run(TO_FHIR.split(), input=lines, capture_output=True, check=True)
    return [loads(base64.b64decode(json.loads(line)["content"])) for line in done.stdout.splitlines()]


def differences(kept: Any, made: Any, at: str = "Bundle") -> list[str]:
    """Where two values are not the same: the places, for a person to read."""
    if canonical(kept) == canonical(made):
        return []
    if isinstance(kept, dict) and isinstance(made, dict):
        return [line for name in sorted({*kept, *made}) for line in differences(kept.get(name), made.get(name), f"{at}.{name}")]
    if isinstance(kept, list) and isinstance(made, list) and len(kept) == len(made):
        return [line for n, pair in enumerate(zip(kept, made, strict=True)) for line in differences(*pair, f"{at}[{n}]")]
    return [f"{at}: {str(kept)[:300]} is kept, {str(made)[:300]} is made"]


@pytest.mark.parametrize("where", ["examples", "corpus"])
def test_every_adt_sent_is_acknowledged_and_kept_as_convert_makes_it(where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = EXAMPLES if where == "examples" else beside("corpus/hl7v2")
    messages = [item.body for path in files([str(folder)]) if not path.name.startswith("invalid-") for item in items(path, ADT)]
    with serving(tmp_path / "sent.db") as server:
        done = subprocess.run([COMMAND, "send", server.address, "--json", "--type", "^ADT", str(folder)], capture_output=True, text=True, check=False)
        *answers, _ = map(json.loads, done.stdout.splitlines())
        errors = server.errors()
    codes = Counter(answer["code"] for answer in answers)
    with capsys.disabled():
        print(f"\n{where}: {dict(codes)}")
        for answer in answers:
            if answer["code"] != "AA":
                print(f"  {answer['code']} {answer['file']} {answer['controlId']}: {answer['errors']}")

    assert len(answers) == len(messages) > 100
    assert set(codes) <= {"AA", "AE", "AR"}
    assert codes["AA"] >= 0.98 * len(answers)
    assert [answer for answer in answers for error in answer["errors"] if error["rule"] in INTERNAL] == []
    assert errors == []
    store = engine.open(f"sqlite:///{tmp_path / 'sent.db'}")
    withdrawn = {record.key.rpartition("|")[2] for record in store.view(lambda reader: reader.records(keys.WITHDRAWN, limit=10_000))}
    wrong = []
    for answer, raw, bundle in zip(answers, messages, converted(messages), strict=True):
        message = er7.parse(raw)
        key = keys.original(message.sender, message.control_id, raw)
        original = store.view(lambda reader, key=key: reader.original(key))
        kept = store.view(lambda reader, key=key: reader.record(keys.TRANSLATION, key))

        assert original is not None
        assert original.body == raw
        assert (kept is not None) == (answer["code"] == "AA")
        if kept is not None and (lines := differences(loads(kept.body), bundle)):  # an A47 may have taken its INS away since
            wrong += [f"{answer['file']} {line}" for line in lines if differences(loads(kept.body), without(bundle, withdrawn))]
    store.close()

    assert wrong == []


# ------------------------------------------------------------ the harness


def harness(report: Path, *arguments: str) -> list[dict[str, Any]]:
    """Its row for each message; its own summary is printed."""
    script = beside("acceptance/hl7v2/roundtrip_check.py")
    done = subprocess.run([sys.executable, str(script), "--stdio", "--fwd", TO_FHIR, "--rev", TO_V2, "--type", "^ADT", "--mutate", "11",
                           "--out", str(report), *arguments], capture_output=True, text=True, check=False)  # fmt: skip

    assert done.returncode == 0, done.stderr
    print(done.stdout)
    return list(json.loads(report.read_text()))


def share(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 100.0


def exact(rows: list[dict[str, Any]], test: str) -> float:
    """Messages that come back leaf for leaf."""
    return share(sum(bool(row[test].get("exact")) for row in rows), len(rows))


def judge(rows: list[dict[str, Any]]) -> None:
    edits = [edit for row in rows for edit in row["t3"] + row.get("t4", [])]
    clean = [edit for edit in edits if edit.get("propagated", edit.get("ok")) and edit["collateral"] == 0]
    possible = sum(len(row["t3_opportunities"]) for row in rows)
    values = sum(row["c"]["n3"] for row in rows)
    populated, missed = Counter[str](), Counter[str]()
    for row in rows:
        for counter, name in ((populated, "c_pop"), (missed, "c_fields")):
            counter.update({field: n for field, n in row[name].items() if field[:3] in COORDINATION})
    right = share(populated.total() - missed.total(), populated.total())
    print({name: f"{share(populated_ - missed_, populated_):.1f} %" for name in COORDINATION
           if (populated_ := sum(n for f, n in populated.items() if f[:3] == name)) for missed_ in [sum(n for f, n in missed.items() if f[:3] == name)]})  # fmt: skip

    assert [row["id"] for row in rows if row["status"] != "ok"] == []
    for test in ("t0", "t1", "t2"):
        assert exact(rows, test) >= 99, test
    assert share(len(clean), len(edits)) >= 99
    assert share(sum(len(row["t3"]) for row in rows), possible) >= 90  # it counts a PID-7 with a time and a PID-11 without a city too
    assert share(sum(row["c"]["lost3"] * row["c"]["n3"] for row in rows), values) < 0.2
    assert right >= 90
    assert not any(row["raw_carriers"] for row in rows)


def test_our_examples_pass_the_harness(tmp_path: Path) -> None:
    judge(harness(tmp_path / "report.json", "--corpus", str(ROOT / "examples" / "hl7v2")))


def test_a_part_of_the_corpus_passes_the_harness(tmp_path: Path) -> None:
    judge(harness(tmp_path / "report.json", "--limit", "40"))


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_all_of_the_corpus_passes_the_harness(tmp_path: Path) -> None:
    judge(harness(tmp_path / "report.json"))
