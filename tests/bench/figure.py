"""One measured figure: ours against a baseline taken in the same run, median of alternating runs.

A bench script prints one JSON line per figure (`report`); `run.py` gathers them into the table of `make bench`.
"""

import json
import statistics
import time
from collections.abc import Callable

Timed = Callable[[], object]


def seconds(work: Timed, clock: Callable[[], float] = time.perf_counter) -> float:
    """How long one call takes."""
    begin = clock()
    work()
    return clock() - begin


def alternate(ours: Timed, baseline: Timed, runs: int = 7, clock: Callable[[], float] = time.perf_counter) -> tuple[float, float]:
    """Median seconds of both, run in turn so that a busy machine is busy for both; the first pair warms up.

    With `time.process_time` it is the time of this process alone, for what only computes.
    """
    pairs = [(seconds(ours, clock), seconds(baseline, clock)) for _ in range(runs + 1)][1:]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def report(name: str, ours: float, baseline: float | None = None, *, unit: str = "s", against: str = "", most: float | None = None, least: float | None = None, ratio: float | None = None) -> None:
    """Print a figure. `most` and `least` bound the ratio (by default ours / baseline), or the figure itself when it has no baseline."""
    if ratio is None and baseline:
        ratio = ours / baseline
    judged = ours if ratio is None else ratio
    passed = None if most is None and least is None else (most is None or judged <= most) and (least is None or judged >= least)
    print(json.dumps({"name": name, "ours": ours, "baseline": baseline, "against": against, "unit": unit, "ratio": ratio, "most": most, "least": least, "passed": passed}), flush=True)


def skip(name: str, why: str) -> None:
    """Say plainly what was not measured."""
    print(json.dumps({"name": name, "skipped": why}), flush=True)
