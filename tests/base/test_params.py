"""Parameters: each error names key, rule and value, whichever section is loaded."""

import re
from pathlib import Path
from typing import Any

import pytest
from helpers.project import set_params

from pipeline.base import params
from pipeline.base.errors import PipelineError
from pipeline.data.settings import Ingest
from pipeline.registry.settings import model_name
from pipeline.text.settings import Tokenize
from pipeline.tools import params as params_command
from pipeline.training import rebalancing
from pipeline.training.settings import Train

TEXT = params.PARAMS_FILE.read_text(encoding="utf-8")


def load(tmp_path: Path, old: str, new: str, section: type[params.Section] = Ingest) -> params.Section:
    assert old in TEXT
    path = tmp_path / "params.yaml"
    path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    return params.load(section, path)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("  units:", "  unitz:", "unknown parameter train.unitz; did you mean train.units?"),
        ("  units:", "  # units:", "train.units is missing"),
        ("evaluate:", "evalute:", "unknown section evalute; did you mean evaluate?"),
        ("  epochs: null", "  epochs: 2.5", "train.epochs must be a valid integer, got 2.5"),
        ("  epochs: null", "  epochs: 0", "train.epochs must be greater than or equal to 1, got 0"),
        ("  epochs: null", "  epochs: '3'", "train.epochs must be a valid integer, got '3'"),
        ("learning_rate: null", "learning_rate: 0.0", "train.learning_rate must be greater than 0, got 0.0"),
        ("learning_rate: null", "learning_rate: .nan", "train.learning_rate must be a finite number, got nan"),
        ("ngrams: null", "ngrams: 1", "train.ngrams must be a valid boolean, got 1"),
        ("pooling: null", "pooling: avg", "train.pooling must be 'last', 'max', 'mean' or 'max_mean', got 'avg'"),
        ("  dropout: null", "  dropout: 1.0", "train.dropout must be less than or equal to 0.9, got 1.0"),
        ("adversarial: null", "adversarial: -0.1", "train.adversarial must be greater than or equal to 0, got -0.1"),
        ("threads: 2", "threads: true", "train.threads must be a valid integer, got True"),
        ("preset: fast", "preset: fats", "train.preset must be one of textbook, fast, best, got 'fats'"),
        ("dataset: tweets", "dataset: twets", "ingest.dataset must be 'tweets', 'imdb', 'rotten_tomatoes',"),
        ("dataset: tweets", "dataset: file", "ingest.dataset: file requires ingest.path, the path of your file"),
        ("  path: data/none", "  path: a.csv", "ingest.path requires ingest.dataset: file; the data set is tweets"),
        ("time_column: null", "time_column: t", "ingest.time_column requires ingest.dataset: file"),
        ("label_map: null", "label_map: {a: b}", "ingest.label_map requires ingest.dataset: file"),
        ("encoding: null", "encoding: utf-99", "ingest.encoding requires ingest.dataset: file"),
        ("delimiter: null", "delimiter: '||'", "ingest.delimiter must be one ASCII character, got '||'"),
        ("\n  labels: null", "\n  labels: [one]", "validate.labels must"),
        ("language: null", "language: english", "tokenize.language must be two letters, such as en, got 'english'"),
        ("max_rows: null", "max_rows: 5", "ingest.max_rows must be greater than or equal to 200, got 5"),
        ("test_share: 0.15", "test_share: 0.9", "clean.test_share must be less than or equal to 0.4, got 0.9"),
        ("strategy: auto ", "strategy: weight ", "rebalance.strategy must be 'auto', 'none', 'random_over',"),
        ("strategy: auto ", "strategy: SMOTE ", "rebalance.strategy: SMOTE is not supported: it interpolates"),
        ("strategy: auto ", "strategy: borderline-smote ", "rebalance.strategy: borderline-smote is not supported"),
        ("target: null", "target: 1.5", "rebalance.target must be less than or equal to 1, got 1.5"),
        ("target: null", "target: {a: 0}", "rebalance.target.a must be greater than or equal to 1, got 0"),
        ("strength: null", "strength: 2", "rebalance.strength is for effective_number, focal, logit_adjustment; the"),
        ("length_bounds: null", "length_bounds: [20, 10]", "evaluate.length_bounds must ascend, got [20, 10]"),
        ("length_bounds: null", "length_bounds: [10, x]", "evaluate.length_bounds.1 must be a valid integer, got 'x'"),
        ("experiment: emotion-recognition", "experiment: ''", "publish.experiment must"),
        ("significance: 0.01", "significance: 0.001", "drift.significance must be greater than or equal to 0.01, got"),
        ("max_class_factor: 2.0", "max_class_factor: 0.5", "drift.max_class_factor must be greater than or equal to 1"),
        ("vocabulary_size: null", "vocabulary_size: 5", "tokenize.vocabulary_size must be greater than or equal"),
        ("  length: null", "  length: [", "is not valid YAML"),
        ("  length: null", "  length: null\n  length: 5", "is not valid YAML"),
    ],
)
def test_errors_of_every_section_are_reported(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    with pytest.raises(PipelineError) as error:
        load(tmp_path, old, new)
    assert sentence in str(error.value)
    assert str(tmp_path / "params.yaml") in str(error.value)


def test_missing_or_empty_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="cannot be read"):
        params.load(Train, tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(PipelineError, match="must contain the sections ingest, validate"):
        params.load(Train, tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"encoding": "hex"}, "ingest.encoding 'hex' is not a text encoding of Python"),
        ({"encoding": "utf-99"}, "ingest.encoding 'utf-99' is not a text encoding of Python"),
        ({"group_column": "text"}, "ingest names the column 'text' for two purposes"),
        ({"label_column": "text"}, "ingest names the column 'text' for two purposes"),
        ({"label_column": 0}, "ingest.label_column must be a column's name, or its number from 1 if the file has no"),
        ({"text_column": [""]}, "ingest.text_column must be a column, or a list of two or more, got ['']"),
        ({"text_column": ["a", True]}, "ingest.text_column must be a column's name, or its number from 1"),
        (
            {"split_column": "part", "time_column": "when"},
            "ingest.split_column and ingest.time_column both name the test",
        ),
        (
            {"test_path": "b.csv", "split_column": "part"},
            "ingest.test_path and ingest.split_column both name the test rows",
        ),
    ],
)
def test_contradictory_settings_of_a_file_are_refused(tmp_path: Path, changes: dict[str, str], sentence: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(set_params(TEXT, {"dataset": "file", "path": "a.csv"} | changes), encoding="utf-8")
    with pytest.raises(PipelineError, match=re.escape(sentence)):
        params.load(Ingest, path)


def test_missing_data_file_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = set_params(TEXT, {"dataset": "file", "path": "a.csv"})
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match=r"params\.yaml: ingest\.path is a\.csv, which does not exist"):
        params_command.main([])
    (tmp_path / "a.csv").touch()
    (tmp_path / "params.yaml").write_text(set_params(text, {"test_path": "b.csv"}), encoding="utf-8")
    with pytest.raises(PipelineError, match=r"params\.yaml: ingest\.test_path is b\.csv, which does not exist"):
        params_command.main([])


def test_textbook_preset(tmp_path: Path) -> None:
    train = load(tmp_path, "preset: fast", "preset: textbook", Train)
    tokenize = load(tmp_path, "preset: fast", "preset: textbook", Tokenize)
    assert isinstance(train, Train)
    assert isinstance(tokenize, Tokenize)
    assert (tokenize.vocabulary_size, tokenize.length) == (10_000, 100)
    assert (train.embedding_dim, train.units, train.batch_size, train.epochs) == (64, 64, 32, 10)
    assert (train.ngrams, train.bidirectional, train.pooling) == (False, False, "last")
    assert (train.embedding_dropout, train.dropout, train.adversarial) == (0, 0, 0)


def test_best_preset_is_fast_with_larger_sizes(tmp_path: Path) -> None:
    fast, best = params.load(Train), load(tmp_path, "preset: fast", "preset: best", Train)
    larger = {"preset": "best", "embedding_dim": 128, "units": 128, "pretraining_epochs": 10, "patience": 3}
    assert best == fast.model_copy(update=larger)
    assert load(tmp_path, "preset: fast", "preset: best", Tokenize) == params.load(Tokenize)


def test_false_and_0_override_the_preset(tmp_path: Path) -> None:
    assert params.load(Train).ngrams
    plain = load(tmp_path, "ngrams: null", "ngrams: false", Train)
    assert isinstance(plain, Train)
    assert plain.ngrams is False
    calm = load(tmp_path, "adversarial: null", "adversarial: 0.0", Train)
    assert isinstance(calm, Train)
    assert calm.adversarial == 0


def test_default_sizes_are_left_to_the_data() -> None:
    train, tokenize = params.load(Train), params.load(Tokenize)
    assert (tokenize.vocabulary_size, tokenize.length, train.batch_size, train.epochs) == (None, None, None, None)


def test_value_overrides_the_preset(tmp_path: Path) -> None:
    settings = load(tmp_path, "  units: null", "  units: 8", Train)
    assert isinstance(settings, Train)
    assert (settings.units, settings.embedding_dim) == (8, 64)


def test_every_parameter_has_a_comment() -> None:
    lines = [line for line in TEXT.splitlines() if line.startswith("  ")]
    assert len(lines) == sum(len(params.section_class(name).model_fields) for name in params.SECTIONS)
    assert [line for line in lines if " # " not in line] == []


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("data/my reviews.v2.csv.gz", "my-reviews-lstm"),
        ("data/评论.csv", "评论-lstm"),
        ("data/incoming", "incoming-lstm"),
        ("data/(!).csv", "file-lstm"),
    ],
)
def test_model_is_named_after_its_file(tmp_path: Path, path: str, name: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(set_params(TEXT, {"dataset": "file", "path": path}), encoding="utf-8")
    assert model_name(file) == name
    assert model_name() == "tweets-lstm"
    file.write_text(set_params(TEXT, {"model": "mine"}), encoding="utf-8")
    assert model_name(file) == "mine"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "GBK", "cp1251", "shift_jis"])
def test_encodings_by_their_python_names(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(set_params(TEXT, {"dataset": "file", "path": "a.csv", "encoding": encoding}), encoding="utf-8")
    assert params.load(Ingest, path).encoding == encoding


@pytest.mark.parametrize(
    ("strategy", "changes", "sentence"),
    [
        (
            "focal",
            {"target": 0.5},
            "rebalance.target is for random_over, random_under, class_weight, balanced_batches,",
        ),
        ("none", {"target": "{a: 3}"}, "rebalance.target is for random_over"),
        ("effective_number", {"strength": 1}, "rebalance.strength of effective_number must be below 1, got 1"),
    ],
)
def test_settings_that_a_strategy_lacks_are_refused(
    tmp_path: Path, strategy: str, changes: dict[str, Any], sentence: str
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(set_params(TEXT, {"strategy": strategy} | changes), encoding="utf-8")
    with pytest.raises(PipelineError, match=re.escape(sentence)):
        params.load(rebalancing.Rebalance, path)


def test_pretraining_needs_the_states_of_all_tokens(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(set_params(TEXT, {"pooling": "last", "pretraining_epochs": "3"}), encoding="utf-8")
    with pytest.raises(PipelineError, match=r"train\.pretraining_epochs needs the states of all tokens"):
        params.load(Train, path)
