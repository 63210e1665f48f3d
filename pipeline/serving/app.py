"""Serve: answer texts over HTTP, with a page to try it at the address itself.

Threads: one answers HTTP, `--threads` predict, one explains, one looks for a new champion.
"""

import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ..base import command
from ..base.errors import PipelineError
from ..inference.manifest import MANIFEST
from ..registry import tracking
from ..registry.settings import model_name
from ..registry.store import Store
from . import schemas
from .batching import Batcher, QueueFullError
from .champion import Champion, Served, load_folder, load_version
from .metrics import Monitor
from .middleware import Guard, connections, unless_gone

PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
PATHS = {"/predict", "/predict/batch", "/explain", "/model", "/health", "/ready", "/metrics", "/openapi.json", *PAGE}
SENTENCES = {
    400: "the body cannot be read as JSON in UTF-8",
    404: "there is nothing here; see /openapi.json",
    405: "this path is asked in another way; see /openapi.json",
}
LOOPBACK = ("127.0.0.1", "::1")
SWITCH = 0.0005  # seconds after which a thread that predicts lets the one that answers HTTP in; Python's are 0.005
BACKLOG = 2_048  # connections that wait to be taken
log = logging.getLogger("serve")


def _limit(default: float, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Limits:
    """What the service takes at most; each is a command option."""

    max_length: int = _limit(20_000, "most characters of a text")
    max_texts: int = _limit(1_000, "most texts of a request")
    max_body: int = _limit(2_000_000, "most bytes of a request")
    max_waiting: int = _limit(5_000, "most texts that wait for the model; more get 503")
    max_explanations: int = _limit(64, "most texts that wait to be explained; more get 503")
    batch: int = _limit(64, "most texts that the model predicts at once")
    threads: int = _limit(os.cpu_count() or 1, "threads that predict")
    timeout: float = _limit(10.0, "seconds for a head to arrive, then a body, then the answer, and for reading it")
    check_every: float = _limit(5.0, "seconds between two looks for a new champion")


def create_app(champion: Champion, monitor: Monitor, limits: Limits) -> FastAPI:
    """The service around a model that is loaded."""
    batcher = Batcher(threads=limits.threads, batch=limits.batch, waiting=limits.max_waiting, observe=monitor.batch)
    # One at a time, in a thread of its own: no explanation, which takes long, ever stands before a prediction.
    explainer = Batcher(threads=1, batch=1, waiting=limits.max_explanations, observe=monitor.explanation)
    monitor.waiting.set_function(lambda: batcher.waiting)
    monitor.to_explain.set_function(lambda: explainer.waiting)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        champion.follow(limits.check_every)
        yield
        champion.close()
        batcher.close()
        explainer.close()

    app = FastAPI(
        title="Emotion recognition from text",
        description="Raw texts in; labels with probabilities out, and the words that speak for them.",
        docs_url=None,  # its pages load scripts from the network
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.add_middleware(Guard, monitor=monitor, max_body=limits.max_body, timeout=limits.timeout)
    Text, Texts = schemas.requests(limits.max_length, limits.max_texts)  # noqa: N806
    wrong: dict[int | str, dict[str, Any]] = {
        status: {"model": schemas.Problem, "description": description}
        for status, description in {
            400: "The body cannot be read",
            408: "The body did not arrive in time",
            413: "The body is too large",
            422: "The body is not what is asked for",
            503: "Too much to do: try again after a second",
        }.items()
    }

    @app.post("/predict", responses=wrong)
    async def predict(body: Text) -> schemas.Answer:  # type: ignore[valid-type]
        """Label one text."""
        served = champion.served
        (row,) = await batcher.run(served.predictor.probabilities, [body.text])  # type: ignore[attr-defined]
        return schemas.Answer(model=served.title, **_prediction(served, row))

    @app.post("/predict/batch", responses=wrong)
    async def predict_batch(body: Texts) -> schemas.Answers:  # type: ignore[valid-type]
        """Label many texts."""
        served = champion.served
        rows = await batcher.run(served.predictor.probabilities, body.texts)  # type: ignore[attr-defined]
        predictions = [schemas.Prediction(**_prediction(served, row)) for row in rows]
        return schemas.Answers(model=served.title, predictions=predictions)

    @app.post("/explain", responses=wrong)
    async def explain(body: Text, request: Request) -> schemas.Explained:  # type: ignore[valid-type]
        """Label one text, and say what each of its words contributes to each label."""
        served = champion.served
        work = explainer.run(served.explanations, [body.text])  # type: ignore[attr-defined]
        (found,) = await unless_gone(request, work)
        return schemas.Explained(model=served.title, **found)

    @app.get("/model")
    async def model() -> schemas.Information:
        """The model in service."""
        return schemas.Information(**champion.information())

    @app.get("/health")
    async def health() -> schemas.Status:
        """Whether the process answers: if not, start it again."""
        return schemas.Status(status="ok")

    @app.get("/ready", responses={503: wrong[503]})
    async def ready() -> schemas.Status:
        """Whether there is room for more texts: if not, send them elsewhere."""
        if batcher.full:
            raise QueueFullError
        return schemas.Status(status="ready")

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Counters for Prometheus."""
        return Response(monitor.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    for path, (name, media_type) in PAGE.items():
        content = Path(__file__).with_name("page").joinpath(name).read_bytes()
        app.add_api_route(path, _page(content, media_type), include_in_schema=False)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"error": schemas.sentence(error.errors()[0])}, 422)

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        sentence = SENTENCES.get(error.status_code, str(error.detail))
        return JSONResponse({"error": sentence}, error.status_code, error.headers)

    @app.exception_handler(QueueFullError)
    async def busy(_: Request, __: QueueFullError) -> JSONResponse:
        return JSONResponse({"error": "too many texts wait; try again after a second"}, 503, {"retry-after": "1"})

    return app


def _prediction(served: Served, row: Any) -> dict[str, Any]:
    """A row of probabilities as the fields of `schemas.Prediction`."""
    best = int(row.argmax())
    return {
        "predicted_label": served.predictor.classes[best],
        "confidence": float(row[best]),
        "probabilities": dict(zip(served.predictor.classes, row.tolist(), strict=True)),
    }


def _page(content: bytes, media_type: str) -> Any:
    async def page() -> Response:
        return Response(content, media_type=media_type)

    return page


def load(which: str, name: str) -> tuple[Served, Store | None, str]:
    """Load a folder, a version or an alias of the model `name`.

    Returns
    -------
    served : Served
        The model.
    store : Store or None
        Where the alias can be followed; None for a folder or a version, which stay what they are.
    alias : str
        The alias to follow; empty where there is none.
    """
    if (Path(which) / MANIFEST).is_file():
        return load_folder(Path(which)), None, ""
    name = name or model_name()
    store = tracking.connect()
    with tracking.store_errors(store.address):
        served = load_version(store, store.versions.get(name, which))
    return (served, None, "") if which == served.version else (served, store, which)


def listen(host: str, port: int) -> socket.socket:
    """A socket on an address; 0 takes any free port."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        taken = socket.socket(family, kind, protocol)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
    except (OSError, OverflowError) as error:
        raise PipelineError(f"cannot listen at --host {host} --port {port}: {error}; name another port") from error
    return taken


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("serve", __doc__, example="--port 8001")
    parser.add_argument(
        "--model",
        type=command.model,
        default="champion",
        help="alias, version number or model folder (default: champion)",
    )
    parser.add_argument("--name", default="", help="registered model (default: that of params.yaml)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1, this machine)")
    parser.add_argument("--port", type=int, default=8_000, help="port to listen at, 0 for any (default: 8000)")
    for limit in fields(Limits):
        meaning = f"{limit.metadata['meaning']} (default: {limit.default})"
        option = f"--{limit.name.replace('_', '-')}"
        parser.add_argument(option, type=type(limit.default), default=limit.default, metavar="N", help=meaning)
    parser.add_argument("--quiet", action="store_true", help="no line in the log for each request")
    options = parser.parse_args(arguments)
    limits = Limits(**{limit.name: getattr(options, limit.name) for limit in fields(Limits)})
    for name, value in vars(limits).items():
        if not value > 0:
            raise PipelineError(f"--{name.replace('_', '-')} must be above 0, got {value}")

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    log.setLevel(logging.WARNING if options.quiet else logging.INFO)
    place = listen(options.host, options.port)
    served, store, alias = load(options.model, options.name)
    monitor = Monitor(PATHS)
    app = create_app(Champion(served, monitor, store, alias), monitor, limits)
    place.listen(BACKLOG)  # from here on who connects waits for the answer, and is not turned away
    host, port = place.getsockname()[:2]
    print(f"serve: {served.title} at http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
    if host not in LOOPBACK:
        print(
            "serve: anybody who reaches this address may ask; for TLS and passwords put a proxy before it", flush=True
        )
    sys.setswitchinterval(SWITCH)
    with suppress(KeyboardInterrupt):
        server(app, limits).run(sockets=[place])


def server(app: FastAPI, limits: Limits) -> uvicorn.Server:
    """What answers until a signal comes, and then finishes what is in work."""
    config = uvicorn.Config(
        app,
        http=connections(limits.timeout),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        backlog=BACKLOG,
        timeout_graceful_shutdown=int(limits.timeout) + 1,
    )
    logging.getLogger("uvicorn.access").disabled = True  # its lines hold the query; guard.py writes ours
    return uvicorn.Server(config)
