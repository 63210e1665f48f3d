"""MLflow, the predict command, the service and its page give equal predictions, for a text alone and in any batch."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.project import Project
from helpers.service import Client, enter_text, find, running_service, wait_until

from pipeline.data import datasets
from pipeline.inference.predictor import Predictor
from pipeline.registry import tracking
from pipeline.serving import app, prediction_job
from pipeline.serving.table import main

CLASSES = ("negative", "neutral", "positive")

BATCH_SIZES = (1, 7, 1_000)

TOLERANCE = 1e-5

BARS = "return [...document.querySelectorAll('#bars li')].map((bar) => bar.innerText)"

LINES = """
return [...document.querySelectorAll("#lines tbody tr")].map((row) => [...row.cells].map((cell) => cell.textContent));
"""

LINES_OF_LABELS = """
return [...document.querySelectorAll("#lines tbody td:nth-child(2)")].map((cell) => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  return range.getClientRects().length;
});
"""

REQUEST = """
const [texts, done] = arguments;
request("/predict/batch", { texts }).then((answer) => done(answer.predictions));  // the page's own function
"""

Predict = Callable[[Sequence[str], int], np.ndarray]  # texts and batch size in, (n_texts, n_classes) out


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Real raw tweets in random order, some with broken characters or bare carriage returns."""
    shuffled = datasets.tweets()["text"].sample(frac=1, random_state=0)
    return [text for text in shuffled[:2_100] if prediction_job.cell_error(text) is None][:2_000]


@pytest.fixture(scope="module")
def expected(reference: Project, texts: list[str]) -> np.ndarray:
    probabilities = Predictor.load(reference.folder / "data/train/model").probabilities(texts)
    assert np.ptp(probabilities[:, 0]) > 0.3  # the model distinguishes them
    return probabilities


@pytest.fixture
def store(reference: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the store to the one with the registered model."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{reference.folder}/mlflow.db")
    monkeypatch.chdir(reference.folder)
    tracking.connect()  # otherwise MLflow uses the address that another test has set in this process


@pytest.fixture
def client(store: None) -> Iterator[Client]:
    model, _, _ = app.load_model("champion", "")
    with running_service(model.predictor, model.explainer, timeout=60.0) as client:
        yield client


def batches(texts: Sequence[str], size: int) -> list[Sequence[str]]:
    return [texts[start : start + size] for start in range(0, len(texts), size)]


@pytest.fixture
def by_mlflow(store: None) -> Predict:
    import mlflow

    model = mlflow.pyfunc.load_model("models:/tweets-lstm@champion")

    def predict(texts: Sequence[str], batch_size: int) -> np.ndarray:
        tables = [model.predict(pd.DataFrame({"text": batch})) for batch in batches(texts, batch_size)]
        return checked_probabilities(pd.concat(tables))

    return predict


@pytest.fixture
def by_command(store: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Predict:
    def predict(texts: Sequence[str], batch_size: int) -> np.ndarray:
        source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
        pd.DataFrame({"text": texts}).to_json(source, orient="records", lines=True)
        monkeypatch.setattr(prediction_job, "CHUNK", batch_size)
        main([str(source), str(target), "--workers", "1"])
        labelled = pd.read_json(target, lines=True, dtype=False)
        assert labelled["text"].to_list() == list(texts)
        return checked_probabilities(labelled)

    return predict


@pytest.fixture
def by_service(client: Client) -> Predict:
    def predict(texts: Sequence[str], batch_size: int) -> np.ndarray:
        if batch_size == 1:
            answers = [client.post("/predict", {"text": text})[1] for text in texts]
        else:
            bodies = [client.post("/predict/batch", {"texts": batch})[1] for batch in batches(texts, batch_size)]
            answers = [prediction for body in bodies for prediction in body["predictions"]]
        return checked_probabilities(pd.DataFrame([as_row(answer) for answer in answers]))

    return predict


def as_row(answer: dict[str, Any]) -> dict[str, Any]:
    """Return a prediction of the service with the columns of the other tables."""
    return {**answer, **{f"p_{name}": probability for name, probability in answer["probabilities"].items()}}


def checked_probabilities(predictions: pd.DataFrame) -> np.ndarray:
    """Return the probabilities after checking that label and confidence are those of the largest."""
    probabilities = predictions[[f"p_{name}" for name in CLASSES]].to_numpy(dtype=np.float64)
    highest = probabilities.max(axis=1)
    predicted = [CLASSES.index(label) for label in predictions["predicted_label"]]
    np.testing.assert_allclose(probabilities[np.arange(len(probabilities)), predicted], highest, atol=TOLERANCE)
    np.testing.assert_allclose(predictions["confidence"], highest, atol=TOLERANCE)
    return probabilities


@pytest.mark.parametrize("n_texts", [100, pytest.param(2_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("fixture", ["by_mlflow", "by_command", "by_service"])
def test_predictions_do_not_depend_on_interface_or_batch(
    texts: list[str], expected: np.ndarray, n_texts: int, fixture: str, request: pytest.FixtureRequest
) -> None:
    predict: Predict = request.getfixturevalue(fixture)
    for seed, batch_size in enumerate(BATCH_SIZES):
        order = np.random.default_rng(seed).permutation(n_texts)
        probabilities = predict([texts[i] for i in order], batch_size)
        message = f"batches of {batch_size}"
        np.testing.assert_allclose(probabilities, expected[order], atol=TOLERANCE, err_msg=message)


@pytest.mark.slow
def test_page_shows_what_the_service_returns(
    texts: list[str], expected: np.ndarray, client: Client, browser: Any
) -> None:
    page, origin = browser, f"http://127.0.0.1:{client.port}"
    page.get(f"{origin}/")
    page.get_log("performance")
    one_line = [number for number, text in enumerate(texts) if len(text.splitlines()) == 1 and text == text.strip()]
    sample, probabilities = [texts[number] for number in one_line[:20]], expected[one_line[:20]]
    for text, row in zip(sample, probabilities, strict=True):
        enter_text(page, text)
        bars = [f"{CLASSES[n]} {percent(row[n])}" for n in np.argsort(-row)]
        wait_until(lambda bars=bars: shown_bars(page) == bars)
        assert find(page, "#label").text == bars[0]
    find(page, "input[value=many]").click()
    enter_text(page, "\n".join(sample))
    labels = [f"{CLASSES[row.argmax()]} {percent(row.max())}" for row in probabilities]
    lines = wait_until(lambda: len(rows := page.execute_script(LINES)) == len(sample) and rows)
    assert [text for text, _, _ in lines] == sample
    assert [f"{label} {confidence}".replace("\xa0", " ") for _, label, confidence in lines] == labels
    assert page.execute_script(LINES_OF_LABELS) == [1] * len(sample)  # no label is wrapped, however long its text

    # The page shows rounded numbers: check the bodies of its requests, and all digits of what it gets.
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    requests = [event["params"]["request"] for event in events if event["method"] == "Network.requestWillBeSent"]
    posts = [request for request in requests if request["method"] == "POST"]
    paths = {request["url"].removeprefix(origin) for request in posts}
    assert paths == {"/predict", "/predict/batch", "/explain"}
    bodies = [json.loads(request["postData"]) for request in posts]
    assert [body["text"] for body in bodies if "text" in body] == [text for text in sample for _ in range(2)]
    assert [body["texts"] for body in bodies if "texts" in body][-1] == sample
    received = pd.DataFrame([as_row(answer) for answer in page.execute_async_script(REQUEST, sample)])
    np.testing.assert_allclose(checked_probabilities(received), probabilities, atol=TOLERANCE)


def shown_bars(page: Any) -> list[str]:
    return [" ".join(text.split()) for text in page.execute_script(BARS)]


def percent(probability: float) -> str:
    return f"{100 * probability:.1f} %"
