"""What the service counts, for Prometheus: interactions by name and status, times, the place of the change feed.

https://prometheus.io/docs/practices/naming/. No id and no path is ever a label.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Meter(Collector):
    """Plain numbers on the hot path; Prometheus shapes them only when it asks."""

    def __init__(self, gauges: dict[str, Callable[[], float]] | None = None) -> None:
        self.answered: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.times: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(SECONDS) + 1))
        self.spent: defaultdict[str, float] = defaultdict(float)
        self.wire: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.gauges = gauges or {}
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def count(self, interaction: str, status: int, seconds: float) -> None:
        """One interaction answered."""
        self.answered[interaction, status] += 1
        self.times[interaction][bisect_left(SECONDS, seconds)] += 1
        self.spent[interaction] += seconds

    def observe(self, what: str, which: str, value: float) -> None:
        """What the MLLP server tells: ("message", "AA", seconds), ("fault", "mllp-junk", 1), …"""
        self.wire[what, which] += 1
        if what == "message":
            self.wire["seconds", which] += value

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[CounterMetricFamily | HistogramMetricFamily | GaugeMetricFamily]:
        total = CounterMetricFamily("icops_http_interactions", "Interactions answered", labels=("interaction", "status"))
        for (interaction, status), number in list(self.answered.items()):
            total.add_metric((interaction, str(status)), number)
        yield total
        times = HistogramMetricFamily("icops_http_interaction_seconds", "Time to answer", labels=("interaction",))
        for interaction, numbers in list(self.times.items()):
            buckets, below = [], 0
            for limit, number in zip((*map(str, SECONDS), "+Inf"), numbers, strict=True):
                below += number
                buckets.append((limit, below))
            times.add_metric((interaction,), buckets, self.spent[interaction])
        yield times
        events = CounterMetricFamily("icops_mllp_events", "Messages by acknowledgment, faults, connections", labels=("event", "kind"))
        seconds = CounterMetricFamily("icops_mllp_message_seconds", "Time from message to acknowledgment", labels=("kind",))
        for (what, which), amount in list(self.wire.items()):
            if what == "seconds":
                seconds.add_metric((which,), amount)
            else:
                events.add_metric((what, which), amount)
        yield events
        yield seconds
        for name, value in self.gauges.items():
            yield GaugeMetricFamily(f"icops_{name}", name.replace("_", " "), value=value())
