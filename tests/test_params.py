"""Parameters: every mistake stops with key, rule and value, whichever section is asked for."""

from pathlib import Path

import pytest

from pipeline import params
from pipeline.stage import PipelineError

TEXT = params.PARAMS_FILE.read_text(encoding="utf-8")


def load(tmp_path: Path, old: str, new: str, section: type[params.Section] = params.Ingest) -> params.Section:
    assert old in TEXT
    path = tmp_path / "params.yaml"
    path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    return params.load(section, path)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("  units:", "  unitz:", "train.unitz is no parameter of train; did you mean train.units?"),
        ("  units:", "  # units:", "train.units is missing"),
        ("evaluate:", "evalute:", "evalute is no section; did you mean evaluate?"),
        ("epochs: null", "epochs: 2.5", "train.epochs must be a valid integer, got 2.5"),
        ("epochs: null", "epochs: 0", "train.epochs must be greater than or equal to 1, got 0"),
        ("epochs: null", "epochs: '3'", "train.epochs must be a valid integer, got '3'"),
        ("learning_rate: null", "learning_rate: 0.0", "train.learning_rate must be greater than 0, got 0.0"),
        ("learning_rate: null", "learning_rate: .nan", "train.learning_rate must be a finite number, got nan"),
        ("threads: 2", "threads: true", "train.threads must be a valid integer, got True"),
        ("preset: textbook", "preset: txtbook", "train.preset must be one of textbook, got 'txtbook'"),
        ("dataset: tweets", "dataset: twets", "ingest.dataset must be 'tweets', got 'twets'"),
        ("max_rows: null", "max_rows: 5", "ingest.max_rows must be greater than or equal to 200, got 5"),
        ("test_share: 0.15", "test_share: 0.9", "clean.test_share must be less than or equal to 0.4, got 0.9"),
        ("strategy: class_weight", "strategy: smote", "rebalance.strategy must be 'none', 'random_over',"),
        ("[10, 20]", "[20, 10]", "evaluate.length_bounds must ascend, got [20, 10]"),
        ("[10, 20]", "[10, x]", "evaluate.length_bounds.1 must be a valid integer, got 'x'"),
        ("experiment: emotion-recognition", "experiment: ''", "publish.experiment must"),
        ("vocabulary_size: null", "vocabulary_size: 5", "tokenize.vocabulary_size must be greater than or equal"),
        ("  length: null", "  length: [", "is not valid YAML"),
        ("  length: null", "  length: null\n  length: 5", "is not valid YAML"),
    ],
)
def test_a_mistake_anywhere_is_named(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    with pytest.raises(PipelineError) as error:
        load(tmp_path, old, new)
    assert sentence in str(error.value)
    assert str(tmp_path / "params.yaml") in str(error.value)


def test_missing_file_and_empty_file(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="cannot be read"):
        params.load(params.Train, tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(PipelineError, match="must hold the sections ingest, validate"):
        params.load(params.Train, tmp_path / "params.yaml")


def test_textbook_is_the_plain_model() -> None:
    train, tokenize = params.load(params.Train), params.load(params.Tokenize)
    assert (tokenize.vocabulary_size, tokenize.length) == (10_000, 100)
    assert (train.embedding_dim, train.units, train.batch_size, train.epochs) == (64, 64, 32, 10)


def test_a_given_value_wins_over_the_preset(tmp_path: Path) -> None:
    settings = load(tmp_path, "  units: null", "  units: 8", params.Train)
    assert isinstance(settings, params.Train)
    assert (settings.units, settings.embedding_dim) == (8, 64)


def test_every_parameter_has_a_comment() -> None:
    lines = [line for line in TEXT.splitlines() if line.startswith("  ")]
    assert len(lines) == sum(len(section.model_fields) for section in params.SECTIONS)
    assert [line for line in lines if " # " not in line] == []
