"""Drift: real shifts are found, fresh texts of the same source are not, and no text is in a report."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from helpers.project import Project, set_params
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

from pipeline.base import params, paths
from pipeline.base.errors import PipelineError
from pipeline.base.files import write_table
from pipeline.data import datasets, tables
from pipeline.evaluation import drift, measures
from pipeline.evaluation.measures import MEASURES, Sample, Shift, measure, psi
from pipeline.evaluation.settings import Drift
from pipeline.inference.calibration import Calibration, combine
from pipeline.inference.predictor import Predictor
from pipeline.reports import drift as drift_report
from pipeline.text.cleaning import clean_text
from pipeline.text.processor import Tokenizer
from pipeline.tools import drift as drift_tool

SETTINGS = params.load(Drift)

CHAMPION = "tweets-lstm champion"

TEXT = params.PARAMS_FILE.read_text(encoding="utf-8")


@dataclass(frozen=True)
class Bayes:
    """A cheap model of real texts that looks like a `Predictor`."""

    fitted: Any
    classes: tuple[str, ...]
    calibration: Calibration

    def log_probabilities(self, cleaned: Sequence[str]) -> list[np.ndarray]:
        return [self.fitted.predict_log_proba(cleaned)]


@dataclass(frozen=True, repr=False)
class World:
    """Real texts, split into those that are learnt from, the reference, and fresh ones."""

    predictor: Predictor
    tokenizer: Tokenizer
    reference: Sample
    fresh: Sample
    reviews: Sample

    def draw(self, rows: int, seed: int) -> Sample:
        return self.fresh.take(np.random.default_rng(seed).permutation(len(self.fresh))[:rows])

    def fired(self, incoming: Sample, **changes: float) -> set[str]:
        found = measure(self.reference, incoming, SETTINGS.model_copy(update=changes))
        return {shift.measure for shift in found if shift.drifted}


def cleaned(table: pd.DataFrame, rows: int) -> pd.DataFrame:
    table = table.sample(rows, random_state=0).reset_index(drop=True)
    table["text"] = pd.Series([clean_text(text) for text in table["text"]], dtype="str")
    return table.drop_duplicates("text").reset_index(drop=True)


@pytest.fixture(scope="module")
def world() -> World:
    tweets = cleaned(datasets.tweets(), 16_000)
    learnt, held, new = tweets[:4_000], tweets[4_000:9_000], tweets[9_000:]
    tokenizer = Tokenizer.fit(learnt["text"], vocabulary_size=None, length=None)
    fitted = make_pipeline(CountVectorizer(), MultinomialNB()).fit(learnt["text"], learnt["label"])
    predictor = cast(Predictor, Bayes(fitted, tuple(fitted.classes_), Calibration((1.0,), 1.0, (0.0,) * 3)))
    tables = (held, new, cleaned(datasets.rotten_tomatoes(), 3_000))
    return World(predictor, tokenizer, *(drift.sample(table, predictor, tokenizer) for table in tables))


def test_tweets_to_film_reviews(world: World) -> None:
    expected = {"labels", "classes", "unknown_words", "terms", "scores", "accuracy"}
    assert world.fired(world.reviews.take(np.arange(200))) >= expected
    assert world.fired(world.reviews) == {*expected, "length"}


def of_class(sample: Sample, name: str, rows: int, share: float) -> Sample:
    """Rows of which a class has this share."""
    own, others = (np.flatnonzero((sample.labels == name) == is_it) for is_it in (True, False))
    number = round(share * rows)
    return sample.take(np.concatenate([own[:number], others[: rows - number]]))


def test_a_class_that_triples(world: World) -> None:
    share = float((world.reference.labels == "positive").mean())
    assert 0.15 < share < 0.22
    found = world.fired(of_class(world.fresh, "positive", 1_000, 3 * share))
    assert found >= {"labels", "classes", "scores"}
    assert not found & {"length", "unknown_words"}


def test_a_rare_class_that_triples(world: World) -> None:
    """Of one row in a hundred: the shares of all classes together hardly change."""

    def with_rare(sample: Sample, share: float) -> Sample:
        labels = sample.labels.copy()
        labels[: round(share * len(sample))] = "rare"
        return replace(sample, labels=labels, classes=(), probabilities=np.empty((len(sample), 0)))

    before = with_rare(world.reference, 0.01)
    after = with_rare(world.draw(2_000, 0), 0.03)
    assert [shift.measure for shift in measure(before, after, SETTINGS) if shift.drifted] == ["classes"]
    assert not any(shift.drifted for shift in measure(before, with_rare(world.draw(2_000, 0), 0.012), SETTINGS))


def half(sample: Sample) -> Sample:
    return replace(sample, lengths=sample.lengths // 2)


def unknown(sample: Sample) -> Sample:
    return replace(sample, unknown=np.minimum(sample.unknown + 0.05, 1))


def other_terms(sample: Sample) -> Sample:
    """Each term is as frequent as its neighbour was."""
    terms = sample.terms.tolil()
    frequent = np.argsort(-np.asarray(sample.terms.sum(axis=0)).ravel())[:40]
    terms[:, frequent] = terms[:, np.roll(frequent, 1)]
    return replace(sample, terms=terms.tocsr())


def surer(sample: Sample) -> Sample:
    """The same answers, with other probabilities."""
    squared = sample.probabilities**0.5
    return replace(sample, probabilities=squared / squared.sum(axis=1, keepdims=True))


def mistaken(sample: Sample) -> Sample:
    return replace(sample, labels=np.random.default_rng(0).permutation(sample.labels))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (half, "length"),
        (unknown, "unknown_words"),
        (other_terms, "terms"),
        (surer, "scores"),
        (mistaken, "accuracy"),
    ],
)
def test_one_change_is_found_by_its_measure_alone(world: World, change: Any, name: str) -> None:
    drawn = world.draw(1_000, 3)
    assert world.fired(drawn) == set()
    assert world.fired(change(drawn)) == {name}
    assert world.fired(change(drawn), **{MEASURES[name].rule: 1_000.0}) == set(), "the limit does not count"


def test_large_effects_that_chance_explains_are_no_drift(world: World) -> None:
    """In few rows, effects are large by chance; without limits the tests alone decide."""
    free = SETTINGS.model_copy(update=dict.fromkeys((of.rule for of in MEASURES.values()), 0.0))
    found = [shift for seed in range(10) for shift in measure(world.reference, world.draw(50, seed), free)]
    large = {shift.measure for shift in found if shift.effect > getattr(SETTINGS, shift.rule)}
    assert large >= {"labels", "length", "scores", "accuracy"}
    assert [shift.measure for shift in found if shift.drifted] == []


@pytest.mark.slow
def test_the_psi_does_not_grow_as_rows_become_fewer(world: World) -> None:
    """As it is, it is 0.3 in 100 fresh rows, and 0.01 in 3,000."""

    def found(incoming: Sample) -> float:
        return next(s.effect for s in measure(world.reference, incoming, SETTINGS) if s.measure == "terms")

    assert max(found(world.draw(100, seed)) for seed in range(5)) < SETTINGS.max_psi
    few, many = found(world.reviews.take(np.arange(300))), found(world.reviews)
    assert 0.5 * many < few < many


@pytest.mark.parametrize("rows", [200, 1_000])
def test_fresh_tweets_are_no_drift(world: World, rows: int) -> None:
    assert sum(bool(world.fired(world.draw(rows, seed))) for seed in range(8)) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("rows", [100, 200, 1_000, 3_000])
def test_of_100_fresh_samples_5_at_most_are_false_alarms(world: World, rows: int) -> None:
    assert sum(bool(world.fired(world.draw(rows, seed))) for seed in range(100)) <= 5


@pytest.mark.slow
def test_chinese_reviews() -> None:
    table = cleaned(datasets.chinese_reviews(), 4_000)
    tokenizer = Tokenizer.fit(table["text"][:1_000], vocabulary_size=None, length=None, unit="chinese", language="zh")
    before, after = (drift.sample(table[low:high], None, tokenizer) for low, high in ((1_000, 2_200), (2_200, 2_900)))
    assert not any(shift.drifted for shift in measure(before, after, SETTINGS))
    tweets = drift.sample(cleaned(datasets.tweets(), 300), None, tokenizer)
    found = {shift.measure: shift for shift in measure(before, tweets, SETTINGS)}
    assert found["unknown_words"].drifted
    assert found["terms"].drifted


def test_psi_of_literal_counts() -> None:
    before, after = np.array([9.5, 29.5]), np.array([29.5, 9.5])
    assert psi(before, after) == pytest.approx([0.5 * np.log(3), 0.5 * np.log(3)])
    assert psi(before, before) == pytest.approx([0, 0])
    assert np.isfinite(psi(np.array([0, 10]), np.array([10, 0]))).all()


def test_the_permutation_test_is_exact() -> None:
    """Two rows of ten have the figure, and both are new: 1 of 45 ways to deal them out."""

    def share(old: np.ndarray, new: np.ndarray) -> np.ndarray:
        return new / 2

    p_value, mean = measures._resampled(np.zeros(8), np.ones(2), share, 1.0)
    assert p_value == pytest.approx(1 / 45, abs=0.01)
    assert mean == pytest.approx(0.2, abs=0.03)
    assert measures._resampled(np.ones(8), np.ones(2), share, 1.0) == (1.0, 1.0)


def test_what_a_sample_holds() -> None:
    tokenizer = Tokenizer(("good", "bad", "!"), length=2)
    table = pd.DataFrame({"text": ["good good strange !", "bad", ""], "label": ["glad", None, "sad"]})
    found = drift.sample(table, None, tokenizer)
    assert found.labels.tolist() == ["glad", "", "sad"]
    assert found.lengths.tolist() == [4, 1, 0]  # all of them, however few the model reads
    assert found.unknown.tolist() == [0.25, 0, 1]
    assert found.terms.toarray().tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert found.probabilities.shape == (3, 0)


def test_a_word_of_few_texts_is_no_frequent_term() -> None:
    tokenizer = Tokenizer(("miller", "good"), length=2)
    found = drift.sample(pd.DataFrame({"text": ["miller", "good"] * 9 + ["good"]}), None, tokenizer)
    names, counts = measures.term_counts(found, found)
    assert names == ["good"]
    assert counts.tolist() == [[10], [10]]


def test_a_large_sample_is_drawn_by_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "MOST_ROWS", 50)
    table = tables.complete(datasets.tweets().head(200), source="tweets")
    tokenizer = Tokenizer(("a",), length=2)
    once, again = (drift.sample(each, None, tokenizer) for each in (table, table.sample(frac=1, random_state=0)))
    assert len(once) == 50
    assert sorted(once.lengths) == sorted(again.lengths)


def test_what_is_measured_follows_what_there_is(world: World) -> None:
    drawn = world.draw(200, 0)
    none = replace(drawn, labels=np.full(200, "", dtype=object))
    few = drawn.labels.copy()
    few[40:] = ""
    unlabelled = ["length", "unknown_words", "terms", "scores"]
    assert [shift.measure for shift in measure(world.reference, drawn, SETTINGS)] == list(MEASURES)
    for each in (none, replace(drawn, labels=few)):
        found = measure(world.reference, each, SETTINGS)
        assert [shift.measure for shift in found] == unlabelled
        assert {shift.level for shift in found} == {SETTINGS.significance / 4}
    alone = [replace(s, classes=(), probabilities=np.empty((len(s), 0))) for s in (world.reference, drawn)]
    without = ["labels", "classes", "length", "unknown_words", "terms"]
    assert [shift.measure for shift in measure(*alone, SETTINGS)] == without
    assert measure(world.reference, drawn.take(np.arange(SETTINGS.min_incoming - 1)), SETTINGS) == []
    with pytest.raises(ValueError, match="same tokenizer and model"):
        measure(world.reference, replace(drawn, vocabulary=("a",)), SETTINGS)


def test_a_drift_needs_both() -> None:
    shift = Shift("length", 0.2, 0.1, "max_length_shift", 0.001, 0.002, "", "")
    assert shift.drifted
    assert not replace(shift, effect=0.1).drifted
    assert not replace(shift, p_value=0.002).drifted


def test_a_report_holds_no_text_and_no_unknown_word(world: World, tmp_path: Path) -> None:
    secret = pd.DataFrame({"text": ["zyxomma told mr. qwfp of flight delays"] * 300, "label": "neutral"})
    secret["text"] += [f" zyxomma{number}" for number in range(300)]
    incoming = drift.sample(secret, world.predictor, world.tokenizer)
    found = drift_report.drift_report(
        world.reference, incoming, measure(world.reference, incoming, SETTINGS), file="a|b <c>.csv"
    )
    files = drift_report.write_drift_report(tmp_path, found)
    assert [file.name for file in files] == ["drift.json", "drift.md", "drift.html"]
    for file in files:
        content = file.read_text(encoding="utf-8")
        assert "zyxomma" not in content
        assert "qwfp" not in content
        assert "told mr" not in content
    assert json.loads(files[0].read_text()) == found
    frequent = {world.reference.vocabulary[number] for number in measures._frequent(world.reference)}
    assert {term["term"] for term in found["terms"]} <= frequent
    page = files[2].read_text(encoding="utf-8")
    assert "a|b &lt;c&gt;.csv" in page
    assert "http" not in page.replace("http-equiv", "")
    assert found["verdict"].startswith("drift in labels, classes, length, unknown words, terms, scores")
    assert {"class": "neutral", "reference": pytest.approx(0.38, abs=0.02), "incoming": 1.0} in found["classes"]


def test_names_of_classes_are_escaped_and_long_ones_not_shown(world: World, tmp_path: Path) -> None:
    drawn = world.draw(200, 0)
    names = np.array(["<b>|new*", "a text that came into the column of labels by mistake " * 3], dtype=object)
    incoming = replace(drawn, labels=names[np.arange(200) % 2])
    found = drift_report.drift_report(world.reference, incoming, measure(world.reference, incoming, SETTINGS))
    page = drift_report.write_drift_report(tmp_path, found)[2].read_text(encoding="utf-8")
    assert "by mistake" not in page
    assert "&lt;b&gt;|new*" in page
    assert "(a name of 162 characters)" in page


def test_nothing_is_judged_of_few_rows(world: World, tmp_path: Path) -> None:
    for rows in (0, 10):
        found = drift_report.drift_report(world.reference, world.draw(rows, 0), [])
        assert found["verdict"] == "not judged: too few rows (drift.min_incoming)"
        assert not found["drifted"]
        assert "Not judged" in drift_report.write_drift_report(tmp_path, found)[1].read_text()


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the tables of a state."""
    monkeypatch.chdir(tmp_path)
    for split, path in paths.CLEAN_TABLES.items():
        rows = pd.DataFrame({"id": ["1", "2"], "text": [f"{split} one", f"{split} two"], "label": ["sad", "glad"]})
        write_table(path, rows)
    Path("params.yaml").write_text(TEXT, encoding="utf-8")
    return tmp_path


@pytest.mark.usefixtures("state")
def test_the_reference_are_the_rows_held_out() -> None:
    found = drift.reference(None, Tokenizer(("validation", "test", "train"), length=4))
    assert found.terms.sum(axis=0).tolist() == [[2, 2, 0]]


@pytest.mark.usefixtures("state")
def test_incoming_rows_are_brought_into_the_form_of_the_reference() -> None:
    texts = ["New  ONE", "new one", "<br>", "both", "both", "Train  TWO", "test two", None, "unlabelled"]
    labels = ["sad", "sad", "sad", "sad", "glad", "sad", "glad", "glad", None]
    table, dropped = drift.prepare(pd.DataFrame({"text": texts, "label": labels}))
    assert table[["text", "label"]].to_numpy().tolist() == [["new one", "sad"], ["unlabelled", ""]]
    assert dropped == {"empty": 2, "conflicting": 2, "duplicate": 1, "known": 2}


@pytest.mark.usefixtures("state")
def test_reading_by_the_columns_of_ingest() -> None:
    changes = {"dataset": "file", "path": "a.csv", "text_column": "review", "label_column": "stars"}
    mapped = set_params(TEXT, changes).replace("label_map: null", "label_map: {1: bad, 5: good, 3: null}")
    Path("params.yaml").write_text(mapped, encoding="utf-8")
    Path("in").mkdir()
    Path("in/a.csv").write_text("review,stars\none,1\ntwo,3\nthree,4\n")
    Path("in/b.jsonl").write_text('{"review": "four", "stars": 5}\n{"review": "five", "stars": null}\n')
    found = drift_tool.read(Path("in"))
    assert found["text"].tolist() == ["one", "three", "four", "five"]
    assert found["label"].fillna("").tolist() == ["bad", "4", "good", ""]
    Path("c.csv").write_text("review\none\n")
    assert drift_tool.read(Path("c.csv"))["label"].isna().all()
    Path("texts.csv").write_text("review,stars\n" + "".join(f"{each},secret {each}\n" for each in range(60)))
    with pytest.raises(PipelineError, match="column 'stars' holds 60 labels, more than 50; name") as raised:
        drift_tool.read(Path("texts.csv"))
    assert "secret" not in str(raised.value)
    Path("d.csv").write_text("text\none\n")
    with pytest.raises(PipelineError, match="review"):
        drift_tool.read(Path("d.csv"))
    Path("e.csv").write_text("review,stars,stars\none,1,1\n")
    with pytest.raises(PipelineError, match="has the column 'stars' 2 times"):
        drift_tool.read(Path("e.csv"))


@pytest.mark.slow
def test_the_command_with_a_trained_model(reference: Project, tmp_path: Path) -> None:
    shutil.copytree(reference.folder, tmp_path / "project", symlinks=True)
    project = Project(tmp_path / "project")
    tweets = datasets.tweets()
    known = set(pd.read_parquet(project.folder / "data/ingest/table.parquet")["text"])
    fresh = tweets[~tweets["text"].isin(known)].sample(400, random_state=0)
    fresh.to_csv(project.folder / "fresh.csv", index=False)
    fresh[["text"]].head(20).to_csv(project.folder / "few.csv", index=False)
    datasets.rotten_tomatoes()[["text"]].sample(400, random_state=0).to_csv(project.folder / "reviews.csv", index=False)
    command = ("python", "-m", "pipeline", "drift")

    done = project.run(*command, "fresh.csv", "--fail")
    assert "no drift in 7 measures; report: reports/drift/drift.html" in done.stdout
    assert json.loads((project.folder / "reports/drift/drift.json").read_text())["model"] == CHAMPION
    done = project.run(*command, "reviews.csv", "--model", "data/train/model")
    assert "drift in length, unknown words, terms, scores; report" in done.stdout
    found = json.loads((project.folder / "reports/drift/drift.json").read_text())
    assert found["rows"]["labelled"] == 0
    assert [each["measure"] for each in found["measures"]] == ["length", "unknown_words", "terms", "scores"]
    done = project.run(*command, "reviews.csv", "--model", "data/train/model", "--fail", check=False)
    assert (done.returncode, done.stderr.startswith("drift: drift in ")) == (1, True)
    done = project.run(*command, "few.csv", "--fail", PIPELINE_TRACKING="off")
    assert "not judged: too few rows (drift.min_incoming)" in done.stdout
    assert project.run(*command, "few.csv", "--model", "7", check=False).returncode == 1


def made(labels: Sequence[str], probabilities: np.ndarray | None = None, *, unknown: float = 0.0) -> Sample:
    """A sample of texts of five words each, of which the vocabulary has none."""
    rows, classes = len(labels), () if probabilities is None else ("a", "b", "c")
    said = np.empty((rows, 0)) if probabilities is None else probabilities
    lengths, missing = np.full(rows, 5), np.full(rows, unknown)
    return Sample(np.array(labels, dtype=object), lengths, missing, csr_matrix((rows, 0)), (), classes, said)


def test_a_class_that_vanishes_drifts_as_one_that_comes() -> None:
    some, few = made(["a"] * 800 + ["b"] * 200), made(["a"] * 960 + ["b"] * 40)
    for before, after in ((some, few), (few, some)):
        effect, p_value, _ = measures._classes(before, after, 0.01)
        assert effect == pytest.approx(5, abs=0.1)
        assert p_value < 0.001


def test_a_new_class_of_one_row_does_not_hide_one_that_doubled() -> None:
    """By chance alone, its factor is the larger one."""
    before, after = made(["a"] * 900 + ["b"] * 100), made(["a"] * 779 + ["b"] * 220 + ["new"])
    found = {shift.measure: shift for shift in measure(before, after, SETTINGS)}["classes"]
    assert found.drifted
    assert found.found.startswith('"b": 10.0 → 22.0')


def test_the_p_values_count_how_many_classes_are_looked_at() -> None:
    from scipy.stats import fisher_exact, ks_2samp

    before, after = made(["a"] * 50 + ["b"] * 50), made(["a"] * 62 + ["b"] * 38)
    assert measures._classes(before, after, 0.01)[1] == pytest.approx(2 * fisher_exact([[50, 62], [50, 38]]).pvalue)
    random = np.random.default_rng(0)
    one, other = (random.dirichlet([1, 1, weight], 200) for weight in (1, 1.5))
    found = measures._scores(made(["a"] * 200, one), made(["a"] * 200, other), 0.01)
    tests = [ks_2samp(*columns, method="asymp") for columns in zip(one.T, other.T, strict=True)]
    most = max(tests, key=lambda each: each.statistic)
    assert found[:2] == pytest.approx((most.statistic, 3 * most.pvalue))
    assert 0 < found[1] < 1


def test_accuracy_is_of_the_rows_with_a_label() -> None:
    said = np.tile([0.8, 0.1, 0.1], (200, 1))
    before, after = made(["a"] * 200, said), made(["a"] * 150 + [""] * 50, said)
    effect, _, found = measures._accuracy(before, after, 0.01)
    assert (effect, found) == (0, "rows that the model gets right: 100.0 → 100.0 %")


def test_fewer_unknown_words_are_a_change_too_and_as_many_rows_as_are_asked_for_are_enough() -> None:
    rows = SETTINGS.min_incoming
    found = measure(made(["a"] * 300, unknown=0.2), made(["a"] * rows, unknown=0.1), SETTINGS)
    assert {shift.measure: shift.effect for shift in found}["unknown_words"] == pytest.approx(0.1)


def test_the_report_tells_before_from_after_and_what_drifted(tmp_path: Path) -> None:
    tokenizer = Tokenizer(("old", "new", "same"), length=4)
    texts = {"old": ["old same"] * 90 + ["new same"] * 10, "new": ["old same"] * 10 + ["new same"] * 90}
    before, after = (drift.sample(pd.DataFrame({"text": of, "label": "x"}), None, tokenizer) for of in texts.values())
    found = drift_report.drift_report(before, after, measure(before, after, SETTINGS))
    (first, second, last) = found["terms"]
    assert {first["term"], second["term"]} == {"old", "new"}
    assert last == {"term": "same", "reference": 1.0, "incoming": 1.0, "psi": pytest.approx(0)}
    shares = {each["term"]: (each["reference"], each["incoming"]) for each in found["terms"]}
    assert shares["old"] == (0.9, 0.1)
    said = drift_report.drift_markdown(found)
    drifted, _, rest = said.partition("## What drifted")[2].partition("## Measures")
    assert "**terms**" in drifted
    assert "**length**" not in drifted
    assert "| terms | **drift** |" in rest
    assert "| length | no drift |" in rest


def test_the_answers_compared_are_those_of_the_whole_model() -> None:
    parts = [np.log([[0.9, 0.1]]), np.log([[0.5, 0.5]])]
    calibration = Calibration((0.5, 0.5), 2.0, (0.1, -0.1))
    model = SimpleNamespace(classes=("a", "b"), calibration=calibration, log_probabilities=lambda texts: parts)
    found = drift.sample(pd.DataFrame({"text": ["good"]}), cast(Predictor, model), Tokenizer(("good",), length=2))
    np.testing.assert_allclose(found.probabilities, combine(parts, calibration))
