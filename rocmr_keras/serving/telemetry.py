import datetime
import logging
import time

import prometheus_client
from prometheus_client.core import GaugeMetricFamily

access_log = logging.getLogger("rocmr_keras.serving.access")
# On request only: whoever wants it sets the level to INFO.
access_log.setLevel(logging.WARNING)

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = tuple(2**power for power in range(11))


class Telemetry:
    """Counts and times what a server answers, for Prometheus and for the access log.

    The metrics, each with a few values of its labels, whatever clients send:

    - `rocmr_requests_total` by `protocol`, `route` and `code`;
    - `rocmr_request_seconds`, a histogram by `protocol` and `route`;
    - `rocmr_batch_size`, a histogram of the examples in a request, by `signature`;
    - `rocmr_waiting`, requests taken in and not yet answered, and `rocmr_body_bytes`, bodies in
      memory, both now;
    - `rocmr_served_version`, 1 by `model` and `version` for each that is available.

    The logger `rocmr_keras.serving.access` gets a line for each request at level INFO: time
    (UTC), peer, protocol, route, code and milliseconds.

    Args:
        versions: `ModelVersions`.
        admission: `Admission`.
    """

    def __init__(self, versions, admission):
        registry = prometheus_client.CollectorRegistry()
        self._registry = registry
        self._requests = prometheus_client.Counter(
            "rocmr_requests",
            "Requests answered.",
            ["protocol", "route", "code"],
            registry=registry,
        )
        self._seconds = prometheus_client.Histogram(
            "rocmr_request_seconds",
            "From the head of a request to its answer.",
            ["protocol", "route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._sizes = prometheus_client.Histogram(
            "rocmr_batch_size",
            "Examples in a request.",
            ["signature"],
            buckets=_SIZES,
            registry=registry,
        )
        waiting = prometheus_client.Gauge(
            "rocmr_waiting", "Requests taken in and not yet answered.", registry=registry
        )
        waiting.set_function(lambda: admission.num_admitted)
        body_bytes = prometheus_client.Gauge(
            "rocmr_body_bytes", "Bytes of the bodies in memory.", registry=registry
        )
        body_bytes.set_function(lambda: admission.bodies.num_bytes)
        registry.register(_ServedVersions(versions))

    def request(self, protocol, peer):
        """Starts the clock of a request; returns what to call with its route and code."""
        start = time.perf_counter()

        def finish(route, code):
            seconds = time.perf_counter() - start
            self._requests.labels(protocol, route, code).inc()
            self._seconds.labels(protocol, route).observe(seconds)
            if access_log.isEnabledFor(logging.INFO):
                now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
                line = "%s %s %s %s %s %.1f ms"
                access_log.info(line, now, peer, protocol, route, code, 1000 * seconds)

        return finish

    def batch(self, signature, inputs):
        """Notes how many examples a request had: the length of the first input that has one."""
        sizes = [array.shape[0] for array in inputs.values() if array.ndim]
        self._sizes.labels(signature).observe(sizes[0] if sizes else 1)

    def write(self):
        """Returns the metrics as bytes, and their media type."""
        text = prometheus_client.generate_latest(self._registry)
        return text, prometheus_client.CONTENT_TYPE_LATEST


class _ServedVersions:
    """Asks which versions are available whenever the metrics are read."""

    def __init__(self, versions):
        self.versions = versions

    def collect(self):
        family = GaugeMetricFamily(
            "rocmr_served_version", "Versions that are available.", labels=["model", "version"]
        )
        for version in self.versions.available():
            family.add_metric([self.versions.name, str(version)], 1)
        yield family
