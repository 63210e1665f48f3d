"""Monitor: what the service counts, for Prometheus; numbers alone, never a text."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE")
SECONDS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Monitor:
    """The counters of one service.

    Parameters
    ----------
    paths : collection of str
        Paths that the service has. All others are counted as one: a stranger's path may be a text, or one of millions.
    """

    def __init__(self, paths: set[str]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._paths = paths
        self._registry = registry = CollectorRegistry()
        names = ("method", "path", "status")
        self._requests = Counter("serve_requests", "Requests answered", names, registry=registry)
        self._seconds = Histogram(
            "serve_request_seconds", "Seconds from a request's first byte to its answer's last", ("path",),
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._batch = Histogram("serve_batch_texts", "Texts in a call of the model", buckets=TEXTS, registry=registry)
        self._inference = Histogram(
            "serve_inference_seconds", "Seconds of a call of the model", buckets=SECONDS, registry=registry
        )
        self.errors = Counter("serve_errors", "Requests that failed by a fault of the service", registry=registry)
        self._explained = Histogram(
            "serve_explanation_seconds", "Seconds of an explanation", buckets=SECONDS, registry=registry
        )
        self.waiting = Gauge("serve_waiting_texts", "Texts that wait for the model", registry=registry)
        self.to_explain = Gauge("serve_waiting_explanations", "Texts that wait to be explained", registry=registry)
        self._model = Gauge("serve_model_info", "1 for the model in service", ("name", "version"), registry=registry)
        self.switches = Counter("serve_model_switches", "Models taken into service after the first", registry=registry)
        self.refused = Counter("serve_models_refused", "Promoted models that were not taken", registry=registry)
        self.store = Gauge("serve_store_up", "1 where the model store answered last time", registry=registry)

    def path(self, path: str) -> str:
        """A path as logs and metrics show it."""
        return path if path in self._paths else "other"

    def request(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._requests.labels(method if method in METHODS else "other", path, status).inc()
        self._seconds.labels(path).observe(seconds)

    def batch(self, texts: int, seconds: float) -> None:
        """Count a call of the model."""
        self._batch.observe(texts)
        self._inference.observe(seconds)

    def explanation(self, _: int, seconds: float) -> None:
        """Count an explanation."""
        self._explained.observe(seconds)

    def model(self, name: str, version: str) -> None:
        """Show which model is in service."""
        self._model.clear()
        self._model.labels(name, version).set(1)

    def render(self) -> bytes:
        """All counters in the text format of Prometheus."""
        return generate_latest(self._registry)
