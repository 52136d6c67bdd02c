"""How much memory an idle server holds (Linux)."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figure import report, skip

NAME = "idle server, resident memory"


def _resident(pid: int) -> float:
    """MiB of the process. https://docs.kernel.org/filesystems/proc.html"""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def main() -> None:
    command = Path(sys.executable).with_name("icops-fhir")
    if not Path("/proc/self/status").exists() or not command.exists():
        return skip(NAME, "only where there is /proc and an installed icops-fhir")

    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "ICOPS_DATABASE_URL": f"sqlite:///{folder}/bench.db"}
        out = Path(folder, "out")
        with out.open("wb") as sink:
            server = subprocess.Popen([command, "serve", "--example", "--port", "0", "--mllp-port", "0"], stdout=sink, stderr=subprocess.STDOUT, env=environment)
        try:
            limit = time.monotonic() + 60
            while "mllp" not in out.read_text("utf-8", "replace").lower() and server.poll() is None and time.monotonic() < limit:
                time.sleep(0.2)
            time.sleep(3)
            if server.poll() is not None:
                return skip(NAME, "the server ended: " + out.read_text("utf-8", "replace")[-200:])
            report(NAME, _resident(server.pid), unit="MiB", against="aim: 180 or less")
        finally:
            if server.poll() is None:
                server.send_signal(signal.SIGTERM)
                server.wait(30)


if __name__ == "__main__":
    main()
