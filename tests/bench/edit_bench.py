"""What an edit costs as messages grow: ten times the leaves may cost at most thirteen times the time.

Each case makes a message of n owners, decodes it, edits one place in FHIR; what is timed is writing it back.
"""

import copy
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from figure import alternate, report, skip

HEAD = (
    "MSH|^~\\&|GAM|CHU-LYS|ICOPS|DAC|20260302081522||ADT^A01^ADT_A01|1|P|2.5^FRA^2.11|||||FRA|UNICODE UTF-8",
    "EVN||20260302081500",
    "PID|1||8800114^^^CHU-LYS&690990017&N^PI||LEMOINE^Odile^^^Mme^^L||19480217|F|||14 rue des Canuts^^LYON^^69001^FRA^H||{telecom}|||||26000114^^^CHU-LYS&690990017&M^AN",
    "PV1|1|I|4036^22^3^CHU-LYS&690990017&N||||||||||||||||V26000114^^^CHU-LYS&690990017&M^VN",
)
TELECOM = "^PRN^CP^^^^^^note {n}^^^06999{n:05d}^x{n}"


def _repetitions(n: int) -> bytes:
    return "\r".join(HEAD).format(telecom="~".join(TELECOM.format(n=i) for i in range(n))).encode() + b"\r"


def _segments(n: int) -> bytes:
    kin = [f"NK1|{i + 1}|MARTIN{i}^Paul^^^M.^^L|SPO|1 rue {i}^^LYON|^PRN^CP^^^^^^^^^06999{i:05d}||K|||||code^{i}" for i in range(n)]
    return "\r".join((HEAD[0], HEAD[1], HEAD[2].format(telecom=TELECOM.format(n=1)), *kin, HEAD[3])).encode() + b"\r"


def _unknown(n: int) -> bytes:
    vendor = [f"ZZV|{i}|a{i}^b&c{i}~d|x||{i}" for i in range(n)]
    return "\r".join((*HEAD[:2], HEAD[2].format(telecom=TELECOM.format(n=1)), HEAD[3], *vendor)).encode() + b"\r"


CASES: dict[str, tuple[Callable[[int], bytes], int]] = {
    "repetitions of PID-13": (_repetitions, 40),
    "NK1 segments": (_segments, 20),
    "segments no table reads": (_unknown, 60),
}


def _edit(bundle: dict[str, Any]) -> dict[str, Any]:
    """One phone of the patient changes."""
    edited = copy.deepcopy(bundle)
    patient = next(entry["resource"] for entry in edited["entry"] if entry["resource"]["resourceType"] == "Patient")
    patient["telecom"][len(patient["telecom"]) // 2]["value"] = "0612345678"
    return edited


def main() -> None:
    try:
        from icops_fhir.mappers.v2.message import decode, encode
    except ImportError as error:
        return skip("edit cost", str(error))

    for name, (make, size) in CASES.items():
        small, large = _edit(decode(make(size))), _edit(decode(make(size * 10)))
        assert b"0612345678" in encode(small)
        assert b"0612345678" in encode(large)
        ten, one = alternate(partial(encode, large), partial(encode, small), runs=9, clock=time.process_time)
        report(f"edit cost, {name}: {size * 10} against {size}", ten, one, against="a tenth of the leaves", most=13)


if __name__ == "__main__":
    main()
