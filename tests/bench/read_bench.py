"""Server CPU of a read by id, against a raw ASGI route that answers the same bytes, in alternating runs."""

from __future__ import annotations

import itertools
import json
import statistics

from figure import report
from http_load import RAW, cpu, load, one, ours, running

READS, CONNECTIONS, RUNS = 8_000, 16, 7


def care_plan() -> bytes:
    """About 6 kB, the size of a real plan."""
    activity = {"detail": {"status": "in-progress", "code": {"text": "Visite à domicile"}, "description": "x" * 400}}
    return json.dumps({
        "resourceType": "CarePlan", "id": "plan", "status": "active", "intent": "plan", "subject": {"reference": "Patient/1"},
        "activity": [activity] * 12}).encode()


def main() -> None:
    body = care_plan()
    get = b"GET /fhir/CarePlan/plan HTTP/1.1\r\nhost: localhost\r\naccept: application/fhir+json\r\nuser-agent: bench\r\n\r\n"
    put = b"PUT /fhir/CarePlan/plan HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/fhir+json\r\ncontent-length: %d\r\n\r\n"
    with ours() as (port, pid, _):
        one(port, put % len(body) + body)
        served = one(port, get).partition(b"\r\n\r\n")[2]
        with running(RAW, stdin=served) as (raw_port, raw_pid):
            pairs = []
            for _ in range(RUNS + 1):
                used = []
                for at, process in ((port, pid), (raw_port, raw_pid)):
                    before = cpu(process)
                    load(at, itertools.repeat(get, READS), CONNECTIONS)
                    used.append((cpu(process) - before) / READS)
                pairs.append(used)
    mine, raw = (statistics.median(used) for used in zip(*pairs[1:], strict=True))
    report("read by id, server CPU", mine, raw, against="raw ASGI route, same bytes", most=3.3)


if __name__ == "__main__":
    main()
