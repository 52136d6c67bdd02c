"""Durable MLLP acknowledgments of the real server process: latency at 100 msg/s against a bare FULL commit, and the highest rate.

Latency counts from when a message was due, not from when the sender got round to it, so that a slow answer is not
hidden by the ones it delays. Rounds alternate with bare commits of a row as large as the message.

    python tests/bench/mllp_bench.py [--rate 100] [--seconds 5] [--rounds 3] [--connections 8] [--address HOST:PORT]
"""

import argparse
import asyncio
import contextlib
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from figure import report

ROOT = Path(__file__).parents[2]
MESSAGE = (ROOT / "examples" / "hl7v2" / "adt_a01_insert_older_than_what_is_known.hl7").read_bytes()
NUMBERS = count(1)
CONTROL_ID = re.compile(rb"(\|ADT\^A01\^ADT_A01\|)[^|]*")


def message() -> bytes:
    """An admission of a patient never seen: own number, dossier, visit, movement and control id."""
    n = next(NUMBERS)
    out = CONTROL_ID.sub(b"\\g<1>BENCH%012d" % n, MESSAGE, count=1)
    pid = re.search(rb"PID\|1\|\|([^\^]+)", out)
    for old, new in ((pid and pid[1], b"P%09d"), (found(out, rb"ZBE\|([^\^]+)"), b"MVT-%09d"), (found(out, rb"\|(V\d+)\^"), b"V%09d"), (found(out, rb"\|(\d+)\^[^|]*\^AN"), b"D%09d")):
        if old:
            out = out.replace(old, new % n)
    out = re.sub(rb"~\d{15}\^\^\^ASIP-SANTE-INS[^~|]*", b"", out)
    return b"\x0b" + out + b"\x1c\r"


def found(raw: bytes, pattern: bytes) -> bytes:
    match = re.search(pattern, raw)
    return next((group for group in match.groups() if group), b"") if match else b""


class Peer:
    """A sender in plain bytes: one message, its acknowledgment, the next."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer, self.turn = reader, writer, asyncio.Lock()

    async def ask(self, block: bytes) -> bytes:
        async with self.turn:
            self.writer.write(block)
            return await asyncio.wait_for(self.reader.readuntil(b"\x1c\r"), 60)


async def peers(host: str, port: int, n: int) -> list[Peer]:
    return [Peer(*await asyncio.open_connection(host, port)) for _ in range(n)]


async def paced(senders: list[Peer], rate: float, seconds: float) -> list[float]:
    """Latencies at a steady rate, from the moment each message was due."""
    loop, latencies = asyncio.get_running_loop(), []
    start, blocks = loop.time() + 0.1, [message() for _ in range(int(rate * seconds))]

    async def one(rank: int, block: bytes) -> None:
        due = start + rank / rate
        await asyncio.sleep(max(0.0, due - loop.time()))
        answer = await senders[rank % len(senders)].ask(block)
        latencies.append(loop.time() - due)
        assert b"MSA|AA|" in answer, answer

    await asyncio.gather(*(one(rank, block) for rank, block in enumerate(blocks)))
    return sorted(latencies)


async def flat_out(senders: list[Peer], seconds: float) -> float:
    """Messages per second when each connection sends as soon as it is answered."""
    loop = asyncio.get_running_loop()
    end, done = loop.time() + seconds, 0
    ready = [message() for _ in range(2000)]

    async def busy(peer: Peer) -> None:
        nonlocal done
        while loop.time() < end:
            assert b"MSA|AA|" in await peer.ask(ready.pop() if ready else message())
            done += 1

    begun = loop.time()
    await asyncio.gather(*(busy(peer) for peer in senders))
    return done / (loop.time() - begun)


def bare(folder: str, n: int = 200) -> float:
    """Median seconds of one fully durable commit of one row of this size, by sqlite3 alone."""
    base = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("PRAGMA synchronous=FULL")
    base.execute("CREATE TABLE IF NOT EXISTS message (body BLOB)")
    times = []
    for _ in range(n):
        begun = time.perf_counter()
        base.execute("BEGIN IMMEDIATE")
        base.execute("INSERT INTO message VALUES (?)", (MESSAGE,))
        base.execute("COMMIT")
        times.append(time.perf_counter() - begun)
    base.close()
    return statistics.median(times)


@contextlib.contextmanager
def server(folder: str) -> Iterator[tuple[str, int]]:
    """`icops-fhir serve` on free ports, with an empty database."""
    place = {**os.environ, "ICOPS_DATABASE_URL": f"sqlite:///{folder}/bench.db", "ICOPS_LOG_LEVEL": "warning"}
    command = [str(Path(sys.executable).with_name("icops-fhir")), "serve", "--port", "0", "--mllp-port", "0"]
    with subprocess.Popen(command, env=place, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if match := re.search(r"MLLP\s+([\w.]+):(\d+)", line):
                    yield match[1], int(match[2])
                    break
            else:
                raise RuntimeError("the server gave no MLLP address")
        finally:
            process.terminate()
            process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--address", help="a server that runs already")
    args = parser.parse_args()

    async def run(host: str, port: int, folder: str) -> None:
        senders = await peers(host, port, args.connections)
        await paced(senders, args.rate / 2, 2)  # warm
        half, high, commit = [], [], []
        for _ in range(args.rounds):
            commit.append(bare(folder))
            latencies = await paced(senders, args.rate, args.seconds)
            half.append(latencies[len(latencies) // 2])
            high.append(latencies[int(len(latencies) * 0.99)])
        one, p50, p99 = (statistics.median(found) for found in (commit, half, high))
        report(f"MLLP durable ACK p50 at {args.rate:g} msg/s", p50, one, against="bare FULL commit")
        report(f"MLLP durable ACK p99 at {args.rate:g} msg/s", p99, one, against="bare FULL commit", most=20)
        rate = statistics.median([await flat_out(senders, args.seconds) for _ in range(args.rounds)])
        report(f"MLLP highest rate, {args.connections} connections", rate, unit="msg/s")

    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        if args.address:
            host, _, port = args.address.rpartition(":")
            asyncio.run(run(host, int(port), folder))
        else:
            host, number = stack.enter_context(server(folder))
            asyncio.run(run(host, number, folder))


if __name__ == "__main__":
    main()
