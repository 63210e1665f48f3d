"""All ways to a label say the same of real texts, each alone and in any batch: MLflow, command, service and page."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.project import Project
from helpers.service import Service, find, service, until, write

from pipeline.data import datasets
from pipeline.inference.predictor import Predictor
from pipeline.registry import tracking
from pipeline.serving import app, prediction_job, table
from pipeline.serving.table import main

CLASSES = ("negative", "neutral", "positive")

BATCHES = (1, 7, 1_000)  # texts that are asked together

NEAR = 1e-5

BARS = "return [...document.querySelectorAll('#bars li')].map((each) => each.innerText)"

LINES = """
return [...document.querySelectorAll("#lines tbody tr")].map((row) => [...row.cells].map((each) => each.textContent));
"""

LINES_OF_LABELS = """
return [...document.querySelectorAll("#lines tbody td:nth-child(2)")].map((cell) => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  return range.getClientRects().length;
});
"""

ASK = """
const [texts, done] = arguments;
ask("/predict/batch", { texts }).then((answer) => done(answer.predictions));  // the page's own function
"""

Way = Callable[[Sequence[str], int], np.ndarray]  # texts, and how many of them together


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Real tweets as they are, in no order, with their broken characters and bare carriage returns."""
    found = datasets.tweets()["text"].sample(frac=1, random_state=0)
    return [text for text in found[:2_100] if prediction_job.text_error(text) is None][:2_000]


@pytest.fixture(scope="module")
def expected(reference: Project, texts: list[str]) -> np.ndarray:
    found = Predictor.load(reference.folder / "data/train/model").probabilities(texts)
    assert np.ptp(found[:, 0]) > 0.3  # they are told apart
    return found


@pytest.fixture
def store(reference: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that holds the registered model."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{reference.folder}/mlflow.db")
    monkeypatch.chdir(reference.folder)
    tracking.connect()  # MLflow keeps the address that another test has set in this process


@pytest.fixture
def running(store: None) -> Iterator[Service]:
    served, _, _ = app.load("champion", "")
    with service(served.predictor, served.explainer, timeout=60.0) as found:
        yield found


@pytest.fixture
def by_mlflow(store: None) -> Way:
    import mlflow

    model = mlflow.pyfunc.load_model("models:/tweets-lstm@champion")

    def way(texts: Sequence[str], together: int) -> np.ndarray:
        parts = [pd.DataFrame({"text": texts[at : at + together]}) for at in range(0, len(texts), together)]
        return rows(pd.concat([model.predict(part) for part in parts]))

    return way


@pytest.fixture
def by_command(store: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Way:
    def way(texts: Sequence[str], together: int) -> np.ndarray:
        pd.DataFrame({"text": texts}).to_json(tmp_path / "in.jsonl", orient="records", lines=True)
        monkeypatch.setattr(prediction_job, "CHUNK", together)
        monkeypatch.setattr(sys, "argv", ["predict", *(str(tmp_path / f"{n}.jsonl") for n in ("in", "out"))])
        monkeypatch.setattr(table, "cores", lambda: 1)
        main()
        labelled = pd.read_json(tmp_path / "out.jsonl", lines=True, dtype=False)
        assert labelled["text"].to_list() == list(texts)
        return rows(labelled)

    return way


@pytest.fixture
def by_service(running: Service) -> Way:
    def way(texts: Sequence[str], together: int) -> np.ndarray:
        if together == 1:
            answers = [running.post("/predict", {"text": text})[1] for text in texts]
        else:
            parts = [texts[at : at + together] for at in range(0, len(texts), together)]
            answers = [
                each for part in parts for each in running.post("/predict/batch", {"texts": part})[1]["predictions"]
            ]
        return rows(pd.DataFrame([flat(answer) for answer in answers]))

    return way


def flat(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer of the service as a row of the others' tables."""
    return {**answer, **{f"p_{name}": share for name, share in answer["probabilities"].items()}}


def rows(table: pd.DataFrame) -> np.ndarray:
    """The probabilities, once label and confidence are found to be those of the largest."""
    found = table[[f"p_{name}" for name in CLASSES]].to_numpy(dtype=np.float64)
    at = [CLASSES.index(label) for label in table["predicted_label"]]
    np.testing.assert_allclose(found[np.arange(len(found)), at], found.max(axis=1), atol=NEAR)
    np.testing.assert_allclose(table["confidence"], found.max(axis=1), atol=NEAR)
    return found


@pytest.mark.parametrize("number", [100, pytest.param(2_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("way", ["by_mlflow", "by_command", "by_service"])
def test_each_text_alone_and_in_any_batch(
    texts: list[str], expected: np.ndarray, number: int, way: str, request: pytest.FixtureRequest
) -> None:
    ask: Way = request.getfixturevalue(way)
    for seed, together in enumerate(BATCHES):
        order = np.random.default_rng(seed).permutation(number)
        found = ask([texts[i] for i in order], together)
        np.testing.assert_allclose(found, expected[order], atol=NEAR, err_msg=f"{together} together")


@pytest.mark.slow
def test_the_page_shows_and_gets_what_the_service_says(
    texts: list[str], expected: np.ndarray, running: Service, browser: Any
) -> None:
    page, origin = browser, f"http://127.0.0.1:{running.port}"
    page.get(f"{origin}/")
    page.get_log("performance")
    chosen = [number for number, text in enumerate(texts) if len(text.splitlines()) == 1 and text == text.strip()][:20]
    sample, among = [texts[number] for number in chosen], expected[chosen]
    for text, row in zip(sample, among, strict=True):
        write(page, text)
        shown = [f"{CLASSES[n]} {share(row[n])}" for n in np.argsort(-row)]
        until(lambda shown=shown: shown_bars(page) == shown)
        assert find(page, "#label").text == shown[0]
    find(page, "input[value=many]").click()
    write(page, "\n".join(sample))
    labels = [f"{CLASSES[row.argmax()]} {share(row.max())}" for row in among]
    table = until(lambda: len(found := page.execute_script(LINES)) == len(sample) and found)
    assert [row[0] for row in table] == sample
    assert [f"{label} {confidence}".replace("\xa0", " ") for _, label, confidence in table] == labels

    assert page.execute_script(LINES_OF_LABELS) == [1] * len(
        sample
    )  # no label is broken, however long the text beside it

    # Of what it gets, all digits: it asks these paths of the service, and no other way.
    sent = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [each["params"]["request"] for each in sent if each["method"] == "Network.requestWillBeSent"]
    posts = [each for each in asked if each["method"] == "POST"]
    assert {each["url"] for each in posts} == {f"{origin}{path}" for path in ("/predict", "/predict/batch", "/explain")}
    bodies = [json.loads(each["postData"]) for each in posts]
    assert [body["text"] for body in bodies if "text" in body] == [text for text in sample for _ in range(2)]
    assert [body["texts"] for body in bodies if "texts" in body][-1] == sample
    got = pd.DataFrame([flat(answer) for answer in page.execute_async_script(ASK, sample)])
    np.testing.assert_allclose(rows(got), among, atol=NEAR)


def shown_bars(page: Any) -> list[str]:
    return [" ".join(text.split()) for text in page.execute_script(BARS)]


def share(value: float) -> str:
    return f"{100 * value:.1f} %"
