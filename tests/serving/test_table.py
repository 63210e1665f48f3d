"""Predict: the input comes back value by value, whatever is in it; bad rows are marked, bad files are one sentence."""

import io
import json
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers.project import ROOT, clean_environment
from pyarrow import parquet

from pipeline.base.errors import PipelineError
from pipeline.data.streams import open_table
from pipeline.inference.calibration import Calibration, estimate_shares
from pipeline.inference.predictor import Predictor, ServedModel
from pipeline.serving import table
from pipeline.serving.table import predict_table
from pipeline.text.cleaning import clean_text
from pipeline.text.processor import Tokenizer
from pipeline.training import export
from pipeline.training.encoders import build
from pipeline.training.ngrams import fit_ngrams

EMPTY, MISSING, NO_STRING, NO_UTF8 = (
    f"the text is {what}" for what in ("empty", "missing", "no string", "no valid UTF-8")
)


class Shouting:
    """A model without a network: the label is the text's length."""

    def manifest(self) -> dict[str, Any]:
        return {"classes": ["a"], "class_shares": [1.0]}

    def load(self) -> table.Predict:
        return lambda texts, class_shares: [[str(len(text)) for text in texts], [0.5] * len(texts), [0.5] * len(texts)]


def labelled(content: bytes, kind: str = "csv", text_column: str = "text") -> tuple[bytes, dict[str, int]]:
    target = io.BytesIO()
    table = open_table(kind, io.BytesIO(content), "in", text_column)
    counts = predict_table(table, target, Shouting())  # type: ignore[arg-type]
    return target.getvalue(), dict(counts)


def of_csv(content: str | bytes) -> list[list[str]]:
    found, _ = labelled(content if isinstance(content, bytes) else content.encode())
    table = pd.read_csv(io.BytesIO(found), dtype=str, keep_default_na=False, encoding_errors="surrogateescape")
    assert list(table.columns[-4:]) == ["predicted_label", "confidence", "p_a", "error"]
    return table.drop(columns="p_a").to_numpy().tolist()


def test_cells_stay_what_they_were() -> None:
    content = '\ufeffid,text,note\n007,"a ""b"", c",=1+1\n1.50,"x\ry\nz",None\nNA,,\nshort\n'
    assert of_csv(content) == [
        ["007", 'a "b", c', "=1+1", "8", "0.5", ""],
        ["1.50", "x\ry\nz", "None", "5", "0.5", ""],
        ["NA", "", "", "", "", EMPTY],
        ["short", "", "", "", "", EMPTY],
    ]


def test_an_empty_line_of_texts_alone_keeps_its_row() -> None:
    assert [row[1:] for row in of_csv("text\na\n\nbc\n")] == [["1", "0.5", ""], ["", "", EMPTY], ["2", "0.5", ""]]


def test_a_column_without_a_name_keeps_none_and_no_rows_keep_their_header() -> None:
    assert labelled(b",text\n0,a\n")[0].splitlines()[0] == b'"","text","predicted_label","confidence","p_a","error"'
    assert of_csv("id,text\n") == []


def test_bytes_that_are_no_text_come_back_and_are_counted() -> None:
    found, counts = labelled(b"text,n\ncaf\xe9,1\ncaf\xc3\xa9,2\n")
    assert found.splitlines()[1:] == [
        b'"caf\xe9","1","","","","the text is no valid UTF-8"',
        '"café","2","4",0.5,0.5,""'.encode(),
    ]
    assert counts == {"": 1, NO_UTF8: 1}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("good", None),
        (" ! ", None),
        ("&lt;3", None),
        ("<3", None),
        ("\u200bgood", None),
        ("", EMPTY),
        (" \t\u3000", EMPTY),
        ("<br/> <p>", EMPTY),
        ("&nbsp;", EMPTY),
        ("\u200b\x00", EMPTY),
        (None, MISSING),
        (3, NO_STRING),
        (float("nan"), NO_STRING),
        (b"good", NO_STRING),
        ("a\ud83d", NO_UTF8),
    ],
)
def test_what_is_wrong_with_a_text(text: object, fault: str | None) -> None:
    assert table.fault(text) == fault


def test_lines_of_json_stay_to_the_character() -> None:
    lines = [
        '{"text": "good", "n": 1.10, "deep": {"a": [1, null]}, "big": 12345678901234567890 }',
        "{}",
        '  {"text": 3, "n": "é"}',
        '{"text": "a\\ud83d"}',
        "nonsense",
        "[1]",
    ]
    found, counts = labelled(("\ufeff" + "\n".join(lines) + "\n\n").encode(), "jsonl")
    nothing = '"predicted_label": null, "confidence": null, "p_a": null'
    assert found.decode().splitlines() == [
        lines[0][:-2] + ', "predicted_label": "4", "confidence": 0.5, "p_a": 0.5, "error": null}',
        f'{{{nothing}, "error": "{MISSING}"}}',
        f'{{"text": 3, "n": "é", {nothing}, "error": "{NO_STRING}"}}',
        f'{{"text": "a\\ud83d", {nothing}, "error": "{NO_UTF8}"}}',
        f'{{"line": "nonsense", {nothing}, "error": "the line is no JSON object"}}',
        f'{{"line": "[1]", {nothing}, "error": "the line is no JSON object"}}',
    ]
    assert sum(counts.values()) == 6
    assert counts[""] == 1
    assert labelled(b"", "jsonl") == (b"", {})


def test_parquet_keeps_its_types_and_metadata() -> None:
    columns = {
        "text": pa.array(["good", None, ""], pa.large_string()),
        "when": pa.array([1, 2, None], pa.timestamp("us", "UTC")),
        "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
        "list": pa.array([[1], [], None], pa.list_(pa.int16())),
    }
    table = pa.table(columns).replace_schema_metadata({"made": "here"})
    source = io.BytesIO()
    parquet.write_table(table, source)
    found, counts = labelled(source.getvalue(), "parquet")
    whole = parquet.read_table(io.BytesIO(found))
    assert whole.select(table.column_names).equals(table)
    assert whole.schema.metadata[b"made"] == b"here"
    assert whole["predicted_label"].to_pylist() == ["4", None, None]
    assert whole["confidence"].to_pylist() == whole["p_a"].to_pylist() == [0.5, None, None]
    assert whole["error"].to_pylist() == [None, MISSING, EMPTY]
    assert counts == {"": 1, MISSING: 1, EMPTY: 1}


@pytest.mark.parametrize(
    ("content", "kind", "sentence"),
    [
        (b"", "csv", "is no valid CSV: its first line, which names the columns, is empty"),
        (b"\ntext\na\n", "csv", "is no valid CSV"),
        (b"a,b\n1,2\n", "csv", "in has no column 'text' but a, b; set --text-column"),
        (b"text,text\n1,2\n", "csv", "has the column 'text' twice"),
        (b"text,predicted_label\n1,2\n", "csv", "already has the column 'predicted_label'"),
        (b"text,error\n1,2\n", "csv", "already has the column 'error'"),
        (b'text,n\n"open,1\n', "csv", "is no valid CSV: line 2"),
        (b"text,n\na,1\nb,2,3\n", "csv", "is no valid CSV: a row before line 4 has more cells than the header; quote"),
        (b'{"a": 1}\n', "jsonl", "in has no column 'text' but a; set --text-column"),
        (b'{"text": "a", "error": 1}\n', "jsonl", "already has the column 'error'"),
        (b"text\n", "parquet", "in is no valid Parquet file"),
    ],
)
def test_a_bad_file_is_one_sentence(content: bytes, kind: str, sentence: str) -> None:
    with pytest.raises(PipelineError, match=sentence):
        labelled(content, kind)


CLASSES = ("happy", "sad")

RANDOM = np.random.default_rng(0)

WORDS = [
    "good",
    "bad",
    "film",
    "so",
    "not",
    "it's",
    ",",
    "!",
    "it",
    "<br/>",
    "@bob",
    "我喜欢",
    "😀",
    "R&amp;D",
    "555-0123",
]

TEXTS = [" ".join(RANDOM.choice(WORDS, RANDOM.integers(1, 30))) for _ in range(2_000)]


@pytest.fixture(scope="module")
def folder(keras: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = Tokenizer(("good", "bad", "film", "so", "not", "it's", "[user]"), 24, lengths=(24,))
    sizes = {"num_ids": 9, "num_classes": 2, "embedding_dim": 4, "units": 4, "bidirectional": True, "pooling": "max"}
    labels = np.array([text.count("good") > text.count("bad") for text in TEXTS[:200]], dtype=np.int32)
    cleaned = [clean_text(text) for text in TEXTS[:200]]
    folder = tmp_path_factory.mktemp("predict") / "model"
    export.save(
        folder,
        build(**sizes),
        tokenizer,
        fit_ngrams(cleaned, labels, np.ones(200), num_classes=2, unit="word"),
        classes=CLASSES,
        network=sizes,
        calibration=Calibration((0.5, 0.2, 0.3), 1.0, (0.1, -0.1)),
        class_shares=(0.6, 0.4),
        state="s",
    )
    return folder


def call(*arguments: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["predict", *map(str, arguments)])
    table.main()


def test_all_ways_predict_the_same_alone_and_in_any_batch(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The predictor, what MLflow calls, and the command, in one process and in two."""
    predictor = Predictor.load(folder)
    together = predictor.probabilities(TEXTS)
    assert np.ptp(together[:, 0]) > 0.5
    order = np.random.default_rng(1).permutation(2_000)
    shuffled = np.concatenate([predictor.probabilities([TEXTS[i] for i in part]) for part in np.split(order, [7, 900])])
    np.testing.assert_allclose(shuffled, together[order], atol=1e-6)
    alone = np.concatenate([predictor.probabilities([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, together, atol=1e-6)
    served = ServedModel(predictor).predict(pd.DataFrame({"text": TEXTS}))
    np.testing.assert_allclose(served[["p_happy", "p_sad"]], together, atol=1e-12)
    pd.DataFrame({"text": TEXTS, "n": range(2_000)}).to_csv(tmp_path / "in.csv", index=False)
    monkeypatch.setattr(table, "CHUNK", 300)
    for workers in (1, 2):
        call(
            tmp_path / "in.csv", tmp_path / "out.csv", "--model", folder, "--workers", workers, monkeypatch=monkeypatch
        )
        found = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
        assert found["n"].tolist() == list(range(2_000))
        usable = (found["error"] == "").to_numpy()
        assert 0 < (~usable).sum() < 100  # those of markup alone
        assert found.loc[usable, "predicted_label"].tolist() == served.loc[usable, "predicted_label"].tolist()
        np.testing.assert_allclose(found.loc[usable, ["p_happy", "p_sad"]].astype(float), together[usable], atol=1e-6)


def test_class_shares_are_estimated_of_the_whole_table(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in TEXTS[:500]) + "\n[]\n")
    monkeypatch.setattr(table, "CHUNK", 100)
    options = {"monkeypatch": monkeypatch}
    arguments = (tmp_path / "in.jsonl", tmp_path / "out.jsonl", "--model", folder, "--workers", 1, "--class-shares")
    call(*arguments, "estimate", **options)
    assert "1 rows: the line is no JSON object" in capsys.readouterr().out
    found = pd.read_json(tmp_path / "out.jsonl", lines=True)[["p_happy", "p_sad"]]
    usable = found["p_sad"].notna().to_numpy()[:500]
    plain = Predictor.load(folder).probabilities([text for text, of in zip(TEXTS[:500], usable, strict=True) if of])
    shares = estimate_shares(plain, np.array([0.6, 0.4]))
    expected = plain * shares / [0.6, 0.4]
    np.testing.assert_allclose(found.dropna(), expected / expected.sum(axis=1, keepdims=True), atol=1e-4)
    with pytest.raises(PipelineError, match="--class-shares must be estimate, or a JSON object"):
        call(*arguments, "half", **options)
    manifest = json.loads((folder / "model.json").read_text())
    older = tmp_path / "older"
    older.mkdir()
    (older / "model.json").write_text(json.dumps({k: v for k, v in manifest.items() if k != "class_shares"}))
    with pytest.raises(PipelineError, match="older is older than --class-shares"):
        call(*arguments, "estimate", "--model", older, **options)


def test_files_that_cannot_be_used_are_one_sentence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.csv").write_text("text\na\n")
    (tmp_path / "out.csv").mkdir()
    for arguments, sentence in [
        ((tmp_path / "no.csv", "o.csv"), r"no\.csv cannot be used: No such file"),
        ((tmp_path / "in.csv", tmp_path / "out.csv"), r"cannot overwrite .*out\.csv: not a regular file"),
        ((tmp_path / "in.csv", "o.jsonl"), r"o\.jsonl must be of the format of .*in\.csv, csv; or set --format"),
        ((tmp_path / "in.txt", "o.txt"), r"in\.txt does not end in \.csv, .*; set --format"),
        ((tmp_path / "in.csv", "o.csv", "--workers", 0), "--workers must be 1 or more, got 0"),
        (("-", "-", "--class-shares", "estimate"), "reads the texts twice"),
        ((tmp_path / "in.csv", "o.csv", "--model", tmp_path), "is not a model folder: it has no model.json"),
    ]:
        with pytest.raises(PipelineError, match=sentence):
            call(*arguments[:2], "--model", folder, *arguments[2:], monkeypatch=monkeypatch)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_standard_input_to_standard_output_without_tensorflow(folder: Path) -> None:
    code = (
        "import sys; sys.argv[1:] = ['-', '-', '--model', sys.argv[1], '--format', 'jsonl'];"
        "from pipeline.serving import table; table.main();"
        "heavy = {'sklearn', 'scipy', 'tensorflow', 'keras', 'onnx', 'mlflow', 'pyarrow.parquet'};"
        "print(heavy & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        input='{"text": "good film"}\n',
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["predicted_label"] in CLASSES
    assert done.stderr.endswith(f"1 rows of - labelled by {folder}: -\nset()\n")


def test_a_killed_run_leaves_no_half_file(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "predict", "-", str(tmp_path / "out.csv"), "--model", str(folder)]
    run = subprocess.Popen([*command, "--workers", "1"], stdin=subprocess.PIPE, cwd=ROOT, env=clean_environment())
    assert run.stdin
    run.stdin.write(b"text\n" + b"good film\n" * 20_000)
    run.stdin.flush()
    until = time.monotonic() + 60
    while not list(tmp_path.iterdir()) and time.monotonic() < until:
        time.sleep(0.05)
    assert [path.name.startswith(".partial-") for path in tmp_path.iterdir()] == [True]
    run.send_signal(signal.SIGTERM)
    assert run.wait(60) == 143
    assert list(tmp_path.iterdir()) == []


def test_a_parquet_file_that_is_broken_inside_is_named_as_such() -> None:
    source = io.BytesIO()
    parquet.write_table(pa.table({"text": [f"text {number}" for number in range(5_000)]}), source, compression="none")
    content = bytearray(source.getvalue())
    content[4:400] = bytes(396)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what is raised while something is freed is a warning of pytest's
        with pytest.raises(PipelineError, match=r"^in is no readable Parquet file: "):
            labelled(bytes(content), "parquet")
    doubled = io.BytesIO()
    columns = [pa.array(["a"]), pa.array(["b"])]
    parquet.write_table(pa.Table.from_arrays(columns, names=["text", "text"]), doubled)
    with pytest.raises(PipelineError, match="in has the column 'text' twice"):
        labelled(doubled.getvalue(), "parquet")
