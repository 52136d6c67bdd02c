"""What the store's tests share: every backend, a clock that is set by hand, resources that need no definitions."""

import itertools
from datetime import UTC, datetime, timedelta

from icops_fhir.store import engine
from icops_fhir.store.protocol import Prepared

# One line per backend: the whole contract runs on each.
BACKENDS = {
    "sqlite-file": lambda folder: f"sqlite:///{folder}/store.db",
    "sqlite-memory": lambda folder: "sqlite:///:memory:",
}

START = datetime(2026, 3, 1, 8, tzinfo=UTC)


class Hands:
    """A clock that moves by hand."""

    def __init__(self, moment=START):
        self.moment = moment

    def __call__(self):
        return self.moment

    def forward(self, **delta):
        self.moment += timedelta(**delta)


def rows(resource):
    """A tiny extractor: the number `x` as a token."""
    return (("token", 1, ("urn:x", str(resource.get("x")))),)


def prepared(id, x=0, type="Basic", extra=()):
    head = f'{{"resourceType":"{type}","id":"{id}","meta":{{'.encode()
    return Prepared(type, id, head, b'},"x":%d}' % x, (("token", 1, ("urn:x", str(x))), *extra))


def open_store(url, clock=None, **options):
    ticks = itertools.count()
    options = {"rows": rows, "fingerprint": lambda type: "1", **options}
    return engine.open(url, clock or (lambda: START + timedelta(milliseconds=next(ticks))), **options)


def create(id, x=0, type="Basic"):
    return lambda tx: tx.write(prepared(id, x, type))


def feed(store):
    """The whole change feed."""
    return store.view(lambda r: r.changes(0, 100_000))


def replay(store):
    """The state the history leads to: {(type, id): body}."""
    state = {}
    for version in reversed(store.view(lambda r: r.history(count=100_000))):
        if version.deleted:
            state.pop((version.type, version.id), None)
        else:
            state[version.type, version.id] = version.body
    return state


def current(store):
    """The state the reads show."""
    keys = {(c.type, c.id) for c in feed(store)}
    found = store.view(lambda r: [r.read(*key) for key in sorted(keys)])
    return {(v.type, v.id): v.body for v in found if v and not v.deleted}
