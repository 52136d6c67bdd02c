"""Moves what the WAL gathered into the database, beside the writer, so that the WAL stays small and nobody waits.

https://www.sqlite.org/wal.html#ckpt. A passive checkpoint never makes a writer wait, but only a whole one lets the WAL
start over: the side thread moves the bulk, then asks the writer for the few pages that came meanwhile.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

WAL_SIZE = 4 * 2**20  # bytes at which a checkpoint begins
HARD = 8  # times that, and the writer does the work itself


class Checkpoint:
    """Runs until stopped."""

    def __init__(self, database: Path, connection: sqlite3.Connection, size: int = WAL_SIZE) -> None:
        self._wal = f"{database}-wal"
        self._connection = connection
        self._size = size
        self._next = size  # the size of the WAL at which the next checkpoint is due
        self._due = threading.Event()
        self._finish = False
        self._stop = False
        self.thread = threading.Thread(target=self._run, name="icops-checkpoint", daemon=True)

    def after_commit(self, writer: sqlite3.Connection) -> None:
        """Called by the writer between two groups: cheap, but for the rest of a checkpoint that was asked for."""
        if self._finish:
            self._finish = False
            with suppress(sqlite3.OperationalError):
                writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        try:
            size = os.stat(self._wal).st_size
        except OSError:
            return
        if size <= self._size:  # it started over
            self._next = self._size
        elif size > self._next:
            self._next = size + self._size
            self._due.set()
        if size > HARD * self._size:  # the side thread does not keep up, or a reader holds an old snapshot
            self._finish = True

    def stop(self) -> None:
        self._stop = True
        self._due.set()

    def _run(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            if self._stop:
                return
            with suppress(sqlite3.OperationalError):  # busy or disk full: the next group asks again
                for _ in range(2):
                    self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                self._finish = True
