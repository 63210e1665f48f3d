"""The routes of the service: predictions, the state of the service, and the page.

They are added to the application itself: an `APIRouter` would cost a second look-up at each request.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ConfigDict, FailFast, Field
from starlette.exceptions import HTTPException

from . import schemas
from .batching import QueueFullError, RequestBatcher
from .champion import LiveChampion
from .metrics import Monitor
from .middleware import RETRY_AFTER, error_response, unless_gone

PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
PATHS = {"/predict", "/predict/batch", "/explain", "/model", "/health", "/ready", "/metrics", "/openapi.json", *PAGE}
MESSAGES = {
    400: "cannot decode the body; send JSON in UTF-8",
    404: "unknown path; see /openapi.json",
    405: "method not allowed for this path; see /openapi.json",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.ErrorResponse, "description": description}
    for status, description in {
        400: "The body cannot be decoded",
        408: "The body did not arrive in time",
        413: "The body is too large",
        422: "The body does not have the required form",
        503: "The service is overloaded; try again after a second",
    }.items()
}


def add_prediction_routes(
    app: FastAPI,
    champion: LiveChampion,
    predictions: RequestBatcher,
    explanations: RequestBatcher,
    *,
    max_length: int,
    max_texts: int,
) -> None:
    """Add the routes that answer texts.

    Parameters
    ----------
    app : FastAPI
        The application.
    champion : LiveChampion
        The model that answers.
    predictions, explanations : RequestBatcher
        The queues of the two kinds of work.
    max_length : int
        Most characters in a text.
    max_texts : int
        Most texts in a request.
    """

    class PredictRequest(schemas.RequestBody):
        model_config = ConfigDict(json_schema_extra={"examples": [{"text": "I love this!"}]})
        text: Annotated[str, Field(max_length=max_length, description="raw text")]

    class BatchRequest(schemas.RequestBody):
        model_config = ConfigDict(json_schema_extra={"examples": [{"texts": ["I love this!", "No."]}]})
        texts: Annotated[
            list[Annotated[str, Field(max_length=max_length, description="raw text")]],
            FailFast(),
            Field(min_length=1, max_length=max_texts),
        ]

    @app.post("/predict", responses=ERRORS)
    async def predict(body: PredictRequest) -> schemas.PredictResponse:
        """Label one text."""
        model = champion.model
        (row,) = _refusing_empty(await predictions.run(model.predictions, [body.text]))
        return schemas.PredictResponse(model=model.title, **row)

    @app.post("/predict/batch", responses=ERRORS)
    async def predict_batch(body: BatchRequest) -> schemas.BatchResponse:
        """Label several texts."""
        model = champion.model
        rows = _refusing_empty(await predictions.run(model.predictions, body.texts), "texts[{}]")
        labelled = [schemas.Prediction(**row) for row in rows]
        return schemas.BatchResponse(model=model.title, predictions=labelled)

    @app.post("/explain", responses=ERRORS)
    async def explain(body: PredictRequest, request: Request) -> schemas.ExplainResponse:
        """Label one text, and return what each of its words contributes to the score of each label."""
        model = champion.model
        answers = await unless_gone(request, explanations.run(model.explanations, [body.text]))
        (explanation,) = _refusing_empty(answers)
        return schemas.ExplainResponse(model=model.title, **explanation)


def _refusing_empty(answers: Sequence[dict[str, Any] | None], field: str = "text") -> list[dict[str, Any]]:
    """Return the answers; refuse the request if one is None, as that of an empty text is."""
    for number, answer in enumerate(answers):
        if answer is None:
            raise HTTPException(422, f"{field.format(number)} is empty: nothing is left after cleaning")
    return [answer for answer in answers if answer is not None]


def add_status_routes(app: FastAPI, champion: LiveChampion, predictions: RequestBatcher, monitor: Monitor) -> None:
    """Add the routes that describe the model and the state of the service."""

    @app.get("/model")
    async def model() -> schemas.ModelInfo:
        """The model in service."""
        return schemas.ModelInfo(**champion.information())

    @app.get("/health")
    async def health() -> schemas.ServiceStatus:
        """Whether the process answers; restart it if not."""
        return schemas.ServiceStatus(status="ok")

    @app.get("/ready", responses={503: ERRORS[503]})
    async def ready() -> schemas.ServiceStatus:
        """Whether the queue has room for more texts; send them to another server if not."""
        if predictions.full:
            raise QueueFullError
        return schemas.ServiceStatus(status="ready")

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Metrics for Prometheus."""
        return Response(monitor.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


def add_page_routes(app: FastAPI) -> None:
    """Add the routes of the page, whose files are read once."""
    folder = Path(__file__).with_name("page")
    for path, (name, media_type) in PAGE.items():
        app.add_api_route(path, _file_route((folder / name).read_bytes(), media_type), include_in_schema=False)


def _file_route(content: bytes, media_type: str) -> Any:
    async def file() -> Response:
        return Response(content, media_type=media_type)

    return file


def add_error_handlers(app: FastAPI) -> None:
    """Make every error an answer of one sentence, of the form `schemas.ErrorResponse`."""

    @app.exception_handler(RequestValidationError)
    async def invalid_request(_: Request, error: RequestValidationError) -> JSONResponse:
        return error_response(422, schemas.validation_message(error.errors()[0]))

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> JSONResponse:
        message = MESSAGES.get(error.status_code, str(error.detail))
        return JSONResponse({"error": message}, error.status_code, error.headers)

    @app.exception_handler(QueueFullError)
    async def queue_full(_: Request, __: QueueFullError) -> JSONResponse:
        return error_response(503, "too many texts are waiting; try again in a second", RETRY_AFTER)
