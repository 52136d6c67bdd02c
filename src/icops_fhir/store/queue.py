"""What waits for the writer: bounded, taken in groups, and how each caller is answered.

  loop / thread ── put ──► [ job, job, job … limit ] ── take ──► one group per COMMIT
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections import deque
from collections.abc import Callable, Iterable
from math import inf
from typing import Any, NamedTuple

from icops_fhir.store import errors


class Reply:
    """Where the answer of one job goes; `settle` runs in the caller's event loop where there is one."""

    __slots__ = ("future", "loop")
    future: asyncio.Future[Any] | concurrent.futures.Future[Any]
    loop: asyncio.AbstractEventLoop | None

    def wanted(self) -> bool:
        """False when the caller gave up before the job began."""
        return not self.future.cancelled()

    def settle(self, value: Any, error: BaseException | None) -> None:
        if self.future.done():  # given up meanwhile
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(value)


class Loop(Reply):
    """For a caller in an event loop."""

    __slots__ = ()
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.future = self.loop.create_future()


class Thread(Reply):
    """For a caller in a thread."""

    __slots__ = ()
    future: concurrent.futures.Future[Any]

    def __init__(self) -> None:
        self.loop = None
        self.future = concurrent.futures.Future()

    def wanted(self) -> bool:
        return self.future.set_running_or_notify_cancel()


class Job(NamedTuple):
    """A function, where its answer goes, and when it is too late to begin."""

    call: Callable[[Any], Any]
    reply: Reply
    deadline: float = inf


class Answer(NamedTuple):
    """What became of a job."""

    reply: Reply
    value: Any = None
    error: BaseException | None = None


def _settle(answers: list[Answer]) -> None:
    for answer in answers:
        answer.reply.settle(answer.value, answer.error)


def answer_all(answers: Iterable[Answer]) -> None:
    """Each event loop is woken once for all of its callers."""
    loops: dict[asyncio.AbstractEventLoop, list[Answer]] = {}
    for answer in answers:
        if answer.reply.loop is None:
            answer.reply.settle(answer.value, answer.error)
        else:
            loops.setdefault(answer.reply.loop, []).append(answer)
    for loop, mine in loops.items():
        try:
            loop.call_soon_threadsafe(_settle, mine)
        except RuntimeError:  # that loop is closed: nobody is left to hear it
            continue


class JobQueue:
    """At most `limit` jobs wait; more are refused at once with what `full` says."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._jobs: deque[Job] = deque()
        self._ready = threading.Condition(threading.Lock())
        self._closed = False

    def put(self, job: Job) -> None:
        with self._ready:
            if self._closed:
                raise errors.closed()
            if len(self._jobs) >= self.limit:
                raise errors.busy(self.limit)
            self._jobs.append(job)
            self._ready.notify()

    def take(self, most: int) -> list[Job]:
        """Waits for work; an empty list once the queue is closed and drained."""
        with self._ready:
            while not self._jobs and not self._closed:
                self._ready.wait()
            return [self._jobs.popleft() for _ in range(min(most, len(self._jobs)))]

    def close(self) -> None:
        with self._ready:
            self._closed = True
            self._ready.notify_all()

    def __len__(self) -> int:
        return len(self._jobs)
