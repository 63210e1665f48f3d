"""Prometheus metrics of the service: only counts and durations, never a text."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE")
BUCKET_SECONDS = (
    0.001,
    0.002,
    0.003,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
)  # upper bounds of the buckets
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Monitor:
    """The metrics of one service.

    Parameters
    ----------
    paths : set of str
        Paths of the service. All others are counted as "other": an unknown path may hold a text, and a client may send
        any number of them.
    """

    def __init__(self, paths: set[str]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._paths = paths
        self._registry = registry = CollectorRegistry()
        labels = ("method", "path", "status")
        self._requests = Counter("serve_requests", "Requests answered", labels, registry=registry)
        self._request_seconds = Histogram(
            "serve_request_seconds", "Seconds from the first byte of a request to the last of its answer", ("path",),
            buckets=BUCKET_SECONDS, registry=registry,
        )  # fmt: skip
        self._batch_texts = Histogram("serve_batch_texts", "Texts in a request batch", buckets=TEXTS, registry=registry)
        self._inference_seconds = Histogram(
            "serve_inference_seconds", "Seconds to predict a request batch", buckets=BUCKET_SECONDS, registry=registry
        )
        self.errors = Counter("serve_errors", "Requests that failed with an internal error", registry=registry)
        self._explanation_seconds = Histogram(
            "serve_explanation_seconds", "Seconds to explain a text", buckets=BUCKET_SECONDS, registry=registry
        )
        self.waiting_texts = Gauge("serve_waiting_texts", "Texts waiting for a prediction", registry=registry)
        self.waiting_explanations = Gauge(
            "serve_waiting_explanations", "Texts waiting for an explanation", registry=registry
        )
        self._model = Gauge("serve_model_info", "1 for the model in service", ("name", "version"), registry=registry)
        self.switches = Counter("serve_model_switches", "Switches to another model", registry=registry)
        self.refused = Counter("serve_models_refused", "Promoted models that were refused", registry=registry)
        self.store_up = Gauge("serve_store_up", "1 if the model store answered last time", registry=registry)

    def known_path(self, path: str) -> str:
        """Return a path as logs and metrics show it: unknown ones are "other"."""
        return path if path in self._paths else "other"

    def count_request(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count a request that was answered; `path` is from `known_path`."""
        self._requests.labels(method if method in METHODS else "other", path, status).inc()
        self._request_seconds.labels(path).observe(seconds)

    def count_batch(self, texts: int, seconds: float) -> None:
        """Count a request batch that was predicted."""
        self._batch_texts.observe(texts)
        self._inference_seconds.observe(seconds)

    def count_explanation(self, _: int, seconds: float) -> None:
        """Count a text that was explained."""
        self._explanation_seconds.observe(seconds)

    def show_model(self, name: str, version: str) -> None:
        """Show which model is in service."""
        self._model.clear()
        self._model.labels(name, version).set(1)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
