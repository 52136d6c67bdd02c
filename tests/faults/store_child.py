"""A process that writes through the store until it is killed: says `n sequence` on its standard output after each answer.

`store_child.py DATABASE kill START` or `store_child.py DATABASE small BYTES` (files may not grow past that, for a while)
"""

import asyncio
import json
import os
import resource
import sys

from icops_fhir.fhir.issue import FhirError
from icops_fhir.store import engine
from icops_fhir.store.protocol import Original, Prepared


def prepared(id, x, size=200):
    return Prepared("Basic", id, f'{{"resourceType":"Basic","id":"{id}","meta":{{'.encode(), b'},"x":%d,"t":"%s"}' % (x, b"x" * size), (("token", 1, ("s", str(x))),))


def job(n):
    """Six effects that must stand or fall together."""
    def run(tx):
        tx.write(prepared(f"a{n}", n))
        tx.write(prepared("shared", n))
        tx.keep(Original(f"o{n}", "s", str(n), "h", "text/plain", tx.instant, b"x" * 300))
        tx.put("pair", f"{n}", b"{}", owner="o", due=tx.instant)
        return tx.write(prepared(f"b{n}", n)).sequence
    return run


async def follow(store):
    """A consumer of the feed: one record per change, in the transaction that moves its cursor."""
    while True:
        at = await store.read(lambda r: r.cursor("follower"))
        for change in await store.read(lambda r, at=at: r.changes(at, 20)):
            def effect(tx, sequence=change.sequence):
                tx.put("effect", f"{sequence:08}-{tx.cursor('follower')}", b"{}")
                tx.advance("follower", sequence)
            await store.write(effect)
        await store.changed(at)


async def until_killed(store, start):
    async def one(n):
        while True:
            sequence = await store.write(job(n))
            os.write(1, f"{n} {sequence}\n".encode())
            n += 16

    await asyncio.gather(follow(store), *(one(start + n) for n in range(16)))


async def too_small(store, size):
    """Fills the disk, makes room, goes on: what each caller was told."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    told, n = {}, 0
    while sum(status != 0 for status in told.values()) < 40:
        answers = await asyncio.gather(*(store.write(job(n + k)) for k in range(8)), return_exceptions=True)
        for k, answer in enumerate(answers):
            told[n + k] = answer.status if isinstance(answer, FhirError) else 0 if isinstance(answer, int) else repr(answer)
        n += 8
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    for k in range(8):
        told[n + k] = 0 if await store.write(job(n + k)) else "?"
    print(json.dumps(told))


def main():
    database, what, number = sys.argv[1:]
    store = engine.open(f"sqlite:///{database}", rows=lambda r: (), fingerprint=lambda type: "1", wal=100_000)
    os.write(1, b"open\n")
    asyncio.run({"kill": until_killed, "small": too_small}[what](store, int(number)))
    store.close()


if __name__ == "__main__":
    main()
