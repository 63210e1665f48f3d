"""Predict: the input comes back cell by cell, whatever is in it; bad files are one sentence."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema

from pipeline import tracking
from pipeline.predict import main, predict_csv, read_header
from pipeline.stage import PipelineError


class Shouting:
    """A model without a network: the label is the text's length."""

    def __init__(self) -> None:
        self.told: list[tuple[int, str]] = []

    def predict(self, data: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        assert list(data.columns) == ["text"]
        self.told.append((len(data), (params or {}).get("class_shares", "")))
        if self.told[-1][1] == "half":
            raise ValueError("class_shares must be so")
        assert all(isinstance(text, str) for text in data["text"])
        return pd.DataFrame({"predicted_label": [str(len(text)) for text in data["text"]], "confidence": 0.5})


def predict(tmp_path: Path, content: str | bytes, text_column: str = "text") -> pd.DataFrame:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(content if isinstance(content, bytes) else content.encode())
    columns = read_header(source, text_column)
    rows = predict_csv(source, target, columns, text_column=text_column, model=Shouting())
    table = pd.read_csv(target, dtype=str, keep_default_na=False, skip_blank_lines=False)
    assert len(table) == rows
    return table


def test_cells_stay_what_they_were(tmp_path: Path) -> None:
    content = '\ufeffid,text,note\n007,"a ""b"", c",=1+1\n1.50,"x\ry\nz",None\nNA,,\nshort\n'
    table = predict(tmp_path, content)
    assert table.to_numpy().tolist() == [
        ["007", 'a "b", c', "=1+1", "8", "0.5"],
        ["1.50", "x\ry\nz", "None", "5", "0.5"],
        ["NA", "", "", "0", "0.5"],
        ["short", "", "", "0", "0.5"],
    ]


def test_an_empty_text_in_a_file_of_texts_alone_keeps_its_row(tmp_path: Path) -> None:
    assert predict(tmp_path, "text\na\n\nbc\n")["predicted_label"].tolist() == ["1", "0", "2"]


def test_a_file_without_rows_keeps_its_header(tmp_path: Path) -> None:
    assert list(predict(tmp_path, "id,text\n").columns) == ["id", "text", "predicted_label", "confidence"]


def test_many_rows_keep_their_order(tmp_path: Path) -> None:
    texts = ["x" * (i % 50) for i in range(10_000)]
    table = predict(tmp_path, "text,n\n" + "\n".join(f"{text},{i}" for i, text in enumerate(texts)))
    assert table["n"].tolist() == [str(i) for i in range(10_000)]
    assert table["predicted_label"].tolist() == [str(len(text)) for text in texts]


def test_class_shares_are_estimated_of_all_rows_at_once(tmp_path: Path) -> None:
    source, model = tmp_path / "in.csv", Shouting()
    source.write_text("text\n" + "a\n" * 5_000)
    for shares in ("estimate", '{"1": 1.0}', "half"):
        options = {"text_column": "text", "model": model, "class_shares": shares}
        if shares == "half":
            with pytest.raises(PipelineError, match=r"^--class-shares must be so$"):
                predict_csv(source, tmp_path / "out.csv", ["text"], **options)
        else:
            assert predict_csv(source, tmp_path / "out.csv", ["text"], **options) == 5_000
    assert model.told[:3] == [(5_000, "estimate"), (4_096, '{"1": 1.0}'), (904, '{"1": 1.0}')]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is no valid CSV: No columns to parse"),
        (b"\ntext\na\n", "is no valid CSV"),
        (b"a,b\n1,2\n", "has no column 'text' but a, b; set --text-column"),
        (b"text,text\n1,2\n", "has the column 'text' twice"),
        (b"text,predicted_label\n1,2\n", "already has the column 'predicted_label'"),
        (b"text\ncaf\xe9\n", "is not UTF-8"),
        (b'text,n\n"open,1\n', "is no valid CSV"),
        (b"text,n\na,1\nb,2,3\n", "is no valid CSV"),
        (b"text,n\na,1,2\nb,2,3\n", "is no valid CSV: a row has more cells than the header; quote"),
    ],
)
def test_a_bad_file_is_one_sentence_and_leaves_nothing(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(PipelineError, match=sentence):
        predict(tmp_path, content)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"no\.csv cannot be used: No such file"):
        read_header(tmp_path / "no.csv", "text")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="cannot be used: Is a directory"):
        read_header(tmp_path, "text")
    (tmp_path / "in.csv").write_text("text\na\n")
    (tmp_path / "out").mkdir()
    with pytest.raises(PipelineError, match="cannot be used: Is a directory"):
        predict_csv(tmp_path / "in.csv", tmp_path / "out", ["text"], text_column="text", model=Shouting())


def test_a_column_without_a_name_keeps_none(tmp_path: Path) -> None:
    predict(tmp_path, ",text\n0,a\n")
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == '"","text","predicted_label","confidence"'


def test_an_older_model_that_would_ignore_the_class_shares_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parent.parent)
    (tmp_path / "in.csv").write_text("text\ngood\n")
    metadata = ModelSignature(inputs=Schema([ColSpec("string", "text")]))
    older = SimpleNamespace(metadata=Model(signature=metadata), predict=Shouting().predict)
    monkeypatch.setattr(tracking, "load_model", lambda name, which: older)
    call = ["predict", str(tmp_path / "in.csv"), str(tmp_path / "out.csv")]
    monkeypatch.setattr("sys.argv", call)
    main()
    monkeypatch.setattr("sys.argv", [*call, "--class-shares", "estimate"])
    with pytest.raises(PipelineError, match="tweets-lstm champion is older than --class-shares"):
        main()
