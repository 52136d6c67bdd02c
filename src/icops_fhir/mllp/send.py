"""`icops-fhir send HOST:PORT FILE|DIR…`: messages from files to an MLLP receiver, and what it answered to each.

HL7 v2.5.1 §2.10.3 (batches: FHS, BHS, BTS, FTS). Exit status: 0 all accepted, 1 some refused,
2 a file that cannot be read or a receiver that does not answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import ssl
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from icops_fhir.exchange.transport import TransportError
from icops_fhir.fhir.issue import FhirError, Issue
from icops_fhir.mappers.v2 import er7
from icops_fhir.mappers.v2.frame import Block, Framer
from icops_fhir.mllp.client import Client

SUFFIXES = (".hl7", ".er7", ".v2")
_START = re.compile(rb"(?:\A|(?<=[\r\n]))(?:\xef\xbb\xbf)?(MSH|FHS|BHS|BTS|FTS)(?=[^A-Za-z0-9\s])")
_FRAMED = re.compile(rb"\x0b[^\x1c]*\x1c")


@dataclass(frozen=True, slots=True)
class Item:
    """One message of one file."""

    where: str  # "adt.hl7" or "batch.hl7#3"
    body: bytes
    type: str  # "ADT^A01"
    control_id: str


@dataclass(slots=True)
class Result:
    """What became of a message: the code of its acknowledgment, or of the failure to get one."""

    item: Item
    code: str  # AA, AE, AR, CA, … "none" = it asked for no answer; refused, timeout, reset …
    seconds: float
    issues: tuple[Issue, ...] = ()

    def line(self) -> str:
        said = "; ".join(f"{issue.rule + ': ' if issue.rule else ''}{issue.diagnostics}" for issue in self.issues)
        return f"{self.item.where}  {self.item.control_id or '-'}  {self.code}{'  ' + said if said else ''}"

    def json(self) -> dict[str, Any]:
        errors = [{"rule": i.rule, "severity": i.severity, "expression": [*i.expression], "text": i.diagnostics} for i in self.issues]
        found = {"file": self.item.where, "type": self.item.type, "controlId": self.item.control_id, "code": self.code}
        return {**found, "seconds": round(self.seconds, 6), "errors": errors}


@dataclass(slots=True)
class Report:
    """Counts per code, and the exit status."""

    codes: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0

    @property
    def status(self) -> int:
        failed = set(self.codes) - {"AA", "CA", "none", "AE", "AR", "CE", "CR"}
        if failed or self.unreadable or not self.codes:
            return 2
        return 1 if set(self.codes) & {"AE", "AR", "CE", "CR"} else 0

    def line(self, seconds: float) -> str:
        total = sum(self.codes.values())
        shares = ", ".join(f"{code} {n} ({100 * n / total:.1f} %)" for code, n in self.codes.most_common())
        lost = f", {self.unreadable} unreadable files" if self.unreadable else ""
        return f"{total} messages in {seconds:.1f} s: {shares or 'nothing sent'}{lost}"


def split(data: bytes) -> list[bytes]:
    """The messages of a file, as they stand: MLLP blocks, or text where each MSH begins one; batch segments are left out."""
    if _FRAMED.search(data):
        return [event.body for event in Framer(len(data)).feed(data) if isinstance(event, Block)]
    marks = [*_START.finditer(data)]
    ends = [*(mark.start() for mark in marks[1:]), len(data)][: len(marks)]
    return [data[mark.start() : end] for mark, end in zip(marks, ends, strict=True) if mark[1] == b"MSH"]


def files(paths: Iterable[str]) -> Iterator[Path]:
    """The files named, and those of the folders named that look like messages, in the order of their names."""
    for path in map(Path, paths):
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        else:
            yield path


def items(path: Path, wanted: re.Pattern[str] | None = None) -> list[Item]:
    """The messages of a file whose type is wanted; an error (OSError, FhirError) when it holds none at all."""
    bodies = split(path.read_bytes())
    if not bodies:
        raise FhirError(Issue("error", "structure", "no MSH segment: not an HL7 v2 file", french="Aucun segment MSH."))
    out = []
    for rank, body in enumerate(bodies, 1):
        message = er7.parse(body)
        where = str(path) if len(bodies) == 1 else f"{path}#{rank}"
        out.append(Item(where, body, f"{message.type}^{message.event}", message.control_id))
    return [item for item in out if not wanted or wanted.search(item.type)]


def run(args: argparse.Namespace) -> int:
    """The command: `address`, `paths`, and the options `json connections rate timeout type authorities`."""
    host, colon, port = str(args.address).rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        print(f"{args.address}: HOST:PORT is expected / HOST:PORT est attendu", file=sys.stderr)
        return 2
    tls = ssl.create_default_context(cafile=args.authorities) if getattr(args, "authorities", None) else None
    return send(
        host.strip("[]"), int(port), args.paths, json_lines=args.json, connections=args.connections, rate=args.rate, timeout=args.timeout,
        type=args.type or "", tls=tls,
    )  # fmt: skip


def send(
    host: str, port: int, paths: Sequence[str], *, json_lines: bool = False, connections: int = 1, rate: float = 0.0,
    timeout: float = 30.0, type: str = "", tls: ssl.SSLContext | None = None, out: TextIO | None = None,
) -> int:  # fmt: skip
    """Sends every message and says what was answered. With more than one connection the order is not kept."""
    out = out or sys.stdout
    report, wanted = Report(), re.compile(type) if type else None
    started = time.monotonic()

    def show(result: Result) -> None:
        report.codes[result.code] += 1
        print(json.dumps(result.json(), ensure_ascii=False) if json_lines else result.line(), file=out)

    def queue() -> Iterator[Item]:
        for path in files(paths):
            try:
                yield from items(path, wanted)
            except (OSError, FhirError) as error:
                if wanted and isinstance(error, FhirError):
                    continue  # it is no message, so not one of that type
                report.unreadable += 1
                print(json.dumps({"file": str(path), "code": "unreadable", "errors": [{"text": str(error)}]}) if json_lines else f"{path}  -  unreadable  {error}", file=out)

    asyncio.run(_run(queue(), [Client(host, port, timeout=timeout, tls=tls) for _ in range(max(1, connections))], rate, show))
    seconds = time.monotonic() - started
    print(json.dumps({"summary": dict(report.codes), "unreadable": report.unreadable, "seconds": round(seconds, 3)}) if json_lines else report.line(seconds), file=out)
    return report.status


async def _run(queue: Iterator[Item], clients: list[Client], rate: float, show: Any) -> None:
    started, sent = asyncio.get_running_loop().time(), 0

    async def work(client: Client) -> None:
        nonlocal sent
        for item in queue:  # one iterator for all: each message is taken once
            sent += 1
            if rate:
                await asyncio.sleep(max(0.0, started + sent / rate - asyncio.get_running_loop().time()))
            show(await _one(client, item))
        await client.close()

    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(work(client))


async def _one(client: Client, item: Item) -> Result:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    try:
        answer = await client.send(item.body)
        return Result(item, answer.code or "none", loop.time() - begun, answer.issues)
    except TransportError as error:
        return Result(item, error.kind, loop.time() - begun, (error.issue,))
    except FhirError as error:
        return Result(item, "unsendable", loop.time() - begun, error.issues)
