"""One server per database: a lock held by the operating system beside the file, let go of even by kill -9.

fcntl(2) flock: it belongs to the open file, so a second opening is refused in the same process too.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from icops_fhir.store import errors


class FileLock:
    """Held from construction to `release`."""

    def __init__(self, database: Path) -> None:
        self._file = os.open(f"{database}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(self._file, 20).decode("ascii", "replace").strip()
            os.close(self._file)
            raise errors.locked(str(database), holder) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """The file stays: removing it would let two servers lock two different files of one name."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
