"""The installed command as its users run it: real processes, a log one can read, kill -9 and SIGTERM."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
COMMAND = str(Path(sys.executable).with_name("icops-fhir"))


def corpus() -> Path:
    """Where the public corpus stands when it is there: the folder that holds `corpus/` and `acceptance/`."""
    return Path(os.environ.get("ICOPS_CORPUS") or ROOT.parent / "shared")


class Server:
    """One database and the server on it, started and ended as often as one likes."""

    def __init__(self, database: Path, *arguments: str, **environment: str) -> None:
        self.database, self.log = database, database.with_suffix(".log")
        self._command = [COMMAND, "serve", "--port", "0", "--mllp-port", "0", *arguments]
        self._environment = {**os.environ, "ICOPS_DATABASE_URL": f"sqlite:///{database}", **environment}
        self._process: subprocess.Popen[str] | None = None
        self.base = ""
        self.mllp = ("", 0)

    def start(self) -> None:
        with self.log.open("a") as log:
            self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment)
        assert self._process.stdout is not None
        said = ""
        while (line := self._process.stdout.readline()) not in ("", "\n"):
            said += line
        places = re.search(r"FHIR\s+(\S+)\n.*\nMLLP\s+(\S+):(\d+)", said)
        assert places, said + self.log.read_text()
        self.base, self.mllp = places[1], (places[2], int(places[3]))

    @property
    def address(self) -> str:
        return "{}:{}".format(*self.mllp)

    def kill(self) -> None:
        """As a power cut does to a process."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate(timeout=30)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=60)
        return self._process.returncode

    def fill(self, room: int) -> None:
        """No file of this process may grow by more than so many bytes beyond the largest of its database; -1: no limit any more."""
        assert self._process is not None
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        largest = max(path.stat().st_size for path in self.database.parent.glob(self.database.name + "*"))
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (hard if room < 0 else largest + room, hard))

    def errors(self) -> list[str]:
        """The lines of the log that say that something went wrong inside."""
        return [line for line in self.log.read_text().splitlines() if '"level":"error"' in line or '"level":"critical"' in line or "Traceback" in line]

    # ------------------------------------------------------------ as a FHIR client

    def get(self, path: str, **parameters: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.base}/{path}" if not path.startswith("http") else path, params=parameters or None, timeout=30)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def all(self, path: str) -> list[dict[str, Any]]:
        """The resources of every page of a search or a history."""
        found, url = [], f"{self.base}/{path}"
        while url:
            page = self.get(url)
            found += [entry["resource"] for entry in page.get("entry", ()) if "resource" in entry]
            url = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
        return found

    def post(self, resource: dict[str, Any]) -> dict[str, Any]:
        path = "" if resource["resourceType"] == "Bundle" else f"/{resource['resourceType']}"
        answer = httpx.post(f"{self.base}{path}", json=resource, timeout=60)
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())


@contextlib.contextmanager
def serving(database: Path, *arguments: str, **environment: str) -> Iterator[Server]:
    """A server that is running; ended by SIGTERM with status 0, unless the test has ended it."""
    server = Server(database, *arguments, **environment)
    try:
        server.start()
        yield server
        if server._process is not None and server._process.poll() is None:
            assert server.stop() == 0
    finally:
        if server._process is not None and server._process.poll() is None:
            server.kill()
