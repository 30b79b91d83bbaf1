"""What the plugin counts, in the registry of vLLM's own metrics. With engine processes of their own the figures reach /metrics
where PROMETHEUS_MULTIPROC_DIR names an empty folder when vLLM starts (prometheus_client's own mechanism)."""

import functools

from prometheus_client import Counter, Gauge


@functools.lru_cache(maxsize=1)
def metrics():
    """The four of them, made on first use as a process may register a name only once."""
    return Metrics()


class Metrics:
    """Counted in layer 0 for all layers, but for the time, which is that of all."""

    def __init__(self):
        self.evictions = Counter("foresight_evictions", "Windows evicted, one a request and window")
        self.entries = Counter("foresight_entries_evicted", "Entries evicted, over layers and KV heads")
        self.milliseconds = Counter("foresight_milliseconds", "Spent on statistics, scores and compaction, all layers")
        self.requests = Gauge(
            "foresight_requests_under_eviction",
            "Requests of the last forward pass that have evicted",
            multiprocess_mode="livesum",
        )
