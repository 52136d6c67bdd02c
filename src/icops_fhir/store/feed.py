"""Who waits for the change feed to grow.

https://hl7.org/fhir/R4/subscription.html (workers follow the feed, they never poll the tables)
"""

from __future__ import annotations

import threading

from icops_fhir.store.queue import Answer, Loop, answer_all


class Feed:
    """The committed sequence, and those who want to know when it passes a number."""

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self._lock = threading.Lock()
        self._waiting: dict[Loop, int] = {}

    def publish(self, sequence: int) -> None:
        """Called by the writer after each COMMIT."""
        if sequence == self.sequence:
            return
        with self._lock:
            self.sequence = sequence
            woken = [reply for reply, after in self._waiting.items() if after < sequence]
        answer_all(Answer(reply, sequence) for reply in woken)

    async def passed(self, after: int) -> int:
        """Comes back with the sequence as soon as it is greater than `after`."""
        reply = Loop()
        with self._lock:
            if self.sequence > after:
                return self.sequence
            self._waiting[reply] = after
        try:
            return int(await reply.future)
        finally:
            with self._lock:
                self._waiting.pop(reply, None)

    def close(self, error: BaseException) -> None:
        with self._lock:
            woken = list(self._waiting)
        answer_all(Answer(reply, error=error) for reply in woken)


