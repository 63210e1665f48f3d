"""Answer texts over HTTP, with a page at / to try the model.

Threads: one answers HTTP, `--threads` predict, one explains, one checks for a new champion.
"""

import argparse
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
from fastapi import FastAPI

from ..base import command
from ..base.errors import PipelineError
from ..inference.manifest import MANIFEST
from ..registry import tracking
from ..registry.settings import model_name
from ..registry.store import Store
from .batching import RequestBatcher
from .champion import LiveChampion, LoadedModel, load_folder, load_version
from .metrics import Monitor
from .middleware import Guard, protocol_with_timeouts
from .routes import PATHS, add_error_handlers, add_page_routes, add_prediction_routes, add_status_routes

LOOPBACK = ("127.0.0.1", "::1")
SWITCH_INTERVAL = 0.0005  # seconds after which a thread that predicts yields to HTTP; Python's default is 0.005
BACKLOG = 2_048  # connections waiting to be accepted
log = logging.getLogger("serve")


def _limit(default: float, meaning: str) -> Any:
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Limits:
    """Limits of the service; each is a command option."""

    max_length: int = _limit(20_000, "most characters in a text")
    max_texts: int = _limit(1_000, "most texts in a request")
    max_body: int = _limit(2_000_000, "most bytes in a request")
    max_waiting: int = _limit(5_000, "most texts waiting for a prediction; further requests get status 503")
    max_explanations: int = _limit(64, "most texts waiting for an explanation; further requests get status 503")
    batch: int = _limit(64, "most texts in a request batch, which the model predicts in one call")
    threads: int = _limit(os.cpu_count() or 1, "threads that predict")
    timeout: float = _limit(10.0, "seconds allowed for each: head, body, answer, and a pause of the client in reading")
    check_every: float = _limit(5.0, "seconds between two checks for a new champion")


def create_app(champion: LiveChampion, monitor: Monitor, limits: Limits) -> FastAPI:
    """Return the service around a model that is loaded."""
    predictions = RequestBatcher(
        threads=limits.threads,
        batch_size=limits.batch,
        max_waiting=limits.max_waiting,
        observe=monitor.count_batch,
    )
    # One at a time, in a thread of its own: an explanation takes long, and must not delay predictions.
    explanations = RequestBatcher(
        threads=1, batch_size=1, max_waiting=limits.max_explanations, observe=monitor.count_explanation
    )
    monitor.waiting_texts.set_function(lambda: predictions.waiting)
    monitor.waiting_explanations.set_function(lambda: explanations.waiting)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        champion.follow(limits.check_every)
        yield
        champion.close()
        predictions.close()
        explanations.close()

    app = FastAPI(
        title="Emotion recognition from text",
        description="Returns labels with probabilities for raw texts, and the contribution of each word.",
        docs_url=None,  # FastAPI's documentation pages load scripts from the network
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.add_middleware(Guard, monitor=monitor, max_body=limits.max_body, timeout=limits.timeout)
    add_error_handlers(app)
    add_prediction_routes(
        app, champion, predictions, explanations, max_length=limits.max_length, max_texts=limits.max_texts
    )
    add_status_routes(app, champion, predictions, monitor)
    add_page_routes(app)
    return app


def load_model(which: str, name: str) -> tuple[LoadedModel, Store | None, str]:
    """Load a folder, or a version or an alias of the registered model `name`.

    Returns
    -------
    served : LoadedModel
        The model to serve.
    store : Store or None
        Where the alias can be followed; None for a folder or a version, which do not change.
    alias : str
        The alias to follow; empty if there is none.
    """
    if (Path(which) / MANIFEST).is_file():
        return load_folder(Path(which)), None, ""
    name = name or model_name()
    store = tracking.connect()
    with tracking.store_errors(store.address):
        served = load_version(store, store.versions.get(name, which))
    return (served, None, "") if which == served.version else (served, store, which)


def bind_socket(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address; port 0 chooses a free one."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, OverflowError) as error:
        raise PipelineError(f"cannot listen at --host {host} --port {port}: {error}; choose another port") from error
    return bound


def http_server(app: FastAPI, limits: Limits) -> uvicorn.Server:
    """Return the server that answers until a signal arrives, and then finishes the requests in progress."""
    config = uvicorn.Config(
        app,
        http=protocol_with_timeouts(limits.timeout),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        backlog=BACKLOG,
        timeout_graceful_shutdown=int(limits.timeout) + 1,
    )
    logging.getLogger("uvicorn.access").disabled = True  # its lines contain the query; middleware.py writes ours
    return uvicorn.Server(config)


def _parser() -> argparse.ArgumentParser:
    parser = command.parser("serve", __doc__, example="--port 8001")
    parser.add_argument(
        "--model",
        type=command.model,
        default="champion",
        help="alias, version number or model folder (default: champion)",
    )
    parser.add_argument("--name", default="", help="registered model (default: the one of params.yaml)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1, local only)")
    parser.add_argument("--port", type=int, default=8_000, help="port to listen at, 0 for any (default: 8000)")
    for limit in fields(Limits):
        option = f"--{limit.name.replace('_', '-')}"
        meaning = f"{limit.metadata['meaning']} (default: {limit.default})"
        parser.add_argument(option, type=type(limit.default), default=limit.default, metavar="N", help=meaning)
    parser.add_argument("--quiet", action="store_true", help="do not log a line for each request")
    return parser


def _limits(options: argparse.Namespace) -> Limits:
    limits = Limits(**{limit.name: getattr(options, limit.name) for limit in fields(Limits)})
    for name, value in vars(limits).items():
        if not value > 0:
            raise PipelineError(f"--{name.replace('_', '-')} must be above 0, got {value}")
    return limits


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parser().parse_args(arguments)
    limits = _limits(options)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    log.setLevel(logging.WARNING if options.quiet else logging.INFO)
    bound = bind_socket(options.host, options.port)  # before the model, which takes longer
    model, store, alias = load_model(options.model, options.name)
    monitor = Monitor(PATHS)
    app = create_app(LiveChampion(model, monitor, store, alias), monitor, limits)
    bound.listen(BACKLOG)  # from here on clients wait for the answer instead of being refused
    host, port = bound.getsockname()[:2]
    print(f"serve: {model.title} at http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
    if host not in LOOPBACK:
        print("serve: no authentication or TLS; put a reverse proxy in front of a public address", flush=True)
    sys.setswitchinterval(SWITCH_INTERVAL)
    with suppress(KeyboardInterrupt):
        http_server(app, limits).run(sockets=[bound])
