"""`icops-fhir --help` against `python -c pass`: heavy imports are lazy, or this fails."""

import subprocess
import sys
from pathlib import Path

from figure import alternate, report, skip


def main() -> None:
    command = Path(sys.executable).with_name("icops-fhir")
    if not command.exists():
        return skip("icops-fhir --help", "the command is not installed")

    ours, baseline = alternate(
        lambda: subprocess.run([command, "--help"], check=True, capture_output=True),
        lambda: subprocess.run([sys.executable, "-c", "pass"], check=True, capture_output=True),
        runs=15,
    )
    report("icops-fhir --help", ours, baseline, against="python -c pass", most=10)


if __name__ == "__main__":
    main()
