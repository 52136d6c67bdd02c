"""`make bench`: every figure with its baseline, ratio and bar, PASS or FAIL.  One script per subject, each in its own process.

python tests/bench/run.py            all
python tests/bench/run.py edit mllp  some
"""

import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SUBJECTS = ("read", "create", "store", "adt", "edit", "mllp", "help", "rss")
"""In the order of the table; a subject is the script `<subject>_bench.py`."""


def measure(subject: str) -> list[dict[str, Any]]:
    """The figures a script reports; what it prints besides is shown as it comes."""
    script = HERE / f"{subject}_bench.py"
    if not script.exists():
        return [{"name": subject, "skipped": f"{script.name} is not there"}]
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    figures = []
    for line in done.stdout.splitlines():
        if line.startswith('{"name"'):
            figures.append(json.loads(line))
        elif line.strip():
            print(f"    {line}", flush=True)
    if done.returncode:
        figures.append({"name": subject, "failed": (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or [f"exit {done.returncode}"]})
    return figures or [{"name": subject, "skipped": "it reported no figure"}]


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if unit == "s":
        return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"
    return f"{value:,.4g} {unit}"


def line(figure: dict[str, Any]) -> str:
    """One line of the table."""
    if "skipped" in figure:
        return f"SKIP  {figure['name']}: {figure['skipped']}"
    if "failed" in figure:
        return f"FAIL  {figure['name']}: {' '.join(figure['failed'])}"
    verdict = {True: "PASS", False: "FAIL", None: "    "}[figure["passed"]]
    unit = figure.get("unit", "s")
    bars = [f"{sign} {figure[bar]:g}" for bar, sign in (("most", "<="), ("least", ">=")) if figure.get(bar) is not None]
    against = f"{_amount(figure.get('baseline'), unit)} {figure.get('against', '')}".strip()
    ratio = "" if figure.get("ratio") is None else f"ratio {figure['ratio']:.3g}"
    return f"{verdict}  {figure['name']:<52} {_amount(figure['ours'], unit):>18}  {against:<44} {ratio:<12} {' '.join(bars)}".rstrip()


def main() -> int:
    """1 when a bar is missed."""
    print(f"{platform.python_implementation()} {platform.python_version()} on {platform.machine()}")
    missed = False
    for subject in sys.argv[1:] or SUBJECTS:
        for figure in measure(subject):
            print(line(figure), flush=True)
            missed |= "failed" in figure or figure.get("passed") is False
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
