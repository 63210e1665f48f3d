"""Predict: every format, encoding and way to name a file or a model; bad files are one sentence."""

import gzip
import io
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from helpers.models import save_text_model
from helpers.project import ROOT, clean_environment

from pipeline.base.errors import PipelineError
from pipeline.data.readers import compression as packed
from pipeline.data.readers.compression import PACK
from pipeline.inference.calibration import Calibration
from pipeline.inference.predictor import Predictor, ServedModel
from pipeline.inference.priors import ClassPriors, estimate_class_priors
from pipeline.registry.models import open_model
from pipeline.serving import prediction_job, table
from pipeline.text.cleaning import clean_text
from pipeline.text.processor import Tokenizer
from pipeline.training.encoders.text import build
from pipeline.training.ngrams import fit_ngrams


def csv_of(table: "pd.DataFrame", delimiter: str = ",") -> bytes:
    return table.to_csv(index=False, sep=delimiter).encode()


def parquet_of(table: pd.DataFrame) -> bytes:
    table.to_parquet(stream := io.BytesIO())
    return stream.getvalue()


PLAIN = pd.DataFrame(
    {
        "id": ["007", "1.50", "", "NA", "5", "6", "7"],
        "text": ["café très bon à côté", "a, b; c|d", "two\nlines", 'a "quote"', "bare\rreturn", "<br>", "plain"],
    }
)
CHINESE = pd.DataFrame({"id": ["1", "2", "3"], "text": ["很好，我喜欢这个手机", "太差了！再也不买", "一般般"]})

SAME: dict[str, tuple[bytes, pd.DataFrame]] = {
    "a.csv": (csv_of(PLAIN), PLAIN),
    "semicolon.csv": (csv_of(PLAIN, ";"), PLAIN),
    "bar.csv": (csv_of(PLAIN, "|"), PLAIN),
    "tab.csv": (csv_of(PLAIN, "\t"), PLAIN),
    "a.tsv": (csv_of(PLAIN, "\t"), PLAIN),
    "excel.csv": (b"sep=;\n" + csv_of(PLAIN, ";"), PLAIN),
    "a.jsonl": (PLAIN.to_json(orient="records", lines=True).encode(), PLAIN),
    "a.ndjson": (PLAIN.to_json(orient="records", lines=True, force_ascii=False).encode(), PLAIN),
    "a.parquet": (parquet_of(PLAIN), PLAIN),
    "signed.csv": (b"\xef\xbb\xbf" + csv_of(PLAIN), PLAIN),
    "windows.csv": (csv_of(PLAIN).decode().encode("cp1252"), PLAIN),
    "gbk.csv": (csv_of(CHINESE).decode().encode("gbk"), CHINESE),
    "gbk.jsonl": (CHINESE.to_json(orient="records", lines=True, force_ascii=False).encode("gbk"), CHINESE),
    **{f"{name}.csv": (csv_of(PLAIN).decode().encode(name), PLAIN) for name in ("utf-16", "utf-16-le", "utf-16-be")},
    "utf-16.tsv": (csv_of(PLAIN, "\t").decode().encode("utf-16"), PLAIN),
}

CLASSES = ("happy", "sad")
PRIORS = ClassPriors(natural=[0.2, 0.8], implied=[0.6, 0.4], rows=10_000, estimable=True)

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
    save_text_model(
        folder,
        build(**sizes),
        tokenizer,
        fit_ngrams(cleaned, labels, np.ones(200), num_classes=2, unit="word"),
        classes=CLASSES,
        network=sizes,
        calibration=Calibration((0.4, 0.2, 0.3, 0.1), 1.0, (0.1, -0.1)),
        class_shares=(0.55, 0.45),
        class_priors=PRIORS,
        state="s",
    )
    return folder


def call(*arguments: object) -> None:
    table.main([str(argument) for argument in arguments])


def test_predictor_mlflow_and_command_agree(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The predictor, what MLflow calls, and the command, in one process and in two."""
    predictor = Predictor.load(folder)
    together = predictor.probabilities(TEXTS)
    assert np.ptp(together[:, 0]) > 0.5
    order = np.random.default_rng(1).permutation(2_000)
    shuffled = np.concatenate([predictor.probabilities([TEXTS[i] for i in part]) for part in np.split(order, [7, 900])])
    np.testing.assert_allclose(shuffled, together[order], atol=1e-6)
    alone = np.concatenate([predictor.probabilities([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, together, atol=1e-6)
    served = ServedModel(predictor).predict(pd.DataFrame({"text": TEXTS}), {"allow_empty": True})
    np.testing.assert_allclose(served[["p_happy", "p_sad"]], together, atol=1e-12)
    pd.DataFrame({"text": TEXTS, "n": range(2_000)}).to_csv(tmp_path / "in.csv", index=False)
    monkeypatch.setattr(prediction_job, "CHUNK", 300)
    for workers in (1, 2):
        call(tmp_path / "in.csv", tmp_path / "out.csv", "--model", folder, "--workers", workers)
        result = pd.read_csv(tmp_path / "out.csv", keep_default_na=False)
        assert result["n"].tolist() == list(range(2_000))
        usable = (result["error"] == "").to_numpy()
        assert 0 < (~usable).sum() < 100  # those of markup alone
        assert result.loc[usable, "predicted_label"].tolist() == served.loc[usable, "predicted_label"].tolist()
        np.testing.assert_allclose(result.loc[usable, ["p_happy", "p_sad"]].astype(float), together[usable], atol=1e-6)


def table_of(path: Path, delimiter: str = ",") -> pd.DataFrame:
    """Return an output as strings, to six decimals."""
    name = path.name.removesuffix(path.suffix) if path.suffix in PACK else path.name
    with packed.open_unpacked(path) as file:
        if name.endswith(".parquet"):
            table = pd.read_parquet(io.BytesIO(file.read()))
        elif "json" in name:
            table = pd.read_json(io.BytesIO(file.read()), lines=True, dtype=False)
        else:
            table = pd.read_csv(file, sep=delimiter, keep_default_na=False, na_values={"confidence": [""]}, dtype=str)
    numbers = ["confidence", "p_happy", "p_sad", "known_words"]
    table[numbers] = table[numbers].replace("", None).astype(float).round(6)
    return table.astype(object).fillna("").astype(str)


@pytest.mark.parametrize("name", SAME)
def test_every_format_and_encoding_is_predicted_alike(folder: Path, tmp_path: Path, name: str) -> None:
    content, rows = SAME[name]
    (tmp_path / name).write_bytes(content)
    (tmp_path / "plain.csv").write_bytes(csv_of(rows))
    for source, target in ((name, f"out-{name}"), ("plain.csv", "out.csv")):
        call(tmp_path / source, tmp_path / target, "--model", folder, "--workers", 1)
    delimiter = {"semicolon": ";", "excel": ";", "bar": "|", "tab": "\t"}.get(Path(name).stem, ",")
    output = table_of(tmp_path / f"out-{name}", "\t" if name.endswith(".tsv") else delimiter)
    pd.testing.assert_frame_equal(output, table_of(tmp_path / "out.csv"))
    assert output[["id", "text"]].to_numpy().tolist() == rows.to_numpy().tolist()
    assert (output["error"] == "").sum() == len(rows) - (rows is PLAIN)


@pytest.mark.parametrize("ending", PACK)
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.parquet", "gbk.csv"])
def test_compressed_tables_are_predicted_alike(folder: Path, tmp_path: Path, name: str, ending: str) -> None:
    content, rows = SAME[name]
    with (
        (tmp_path / f"{name}{ending}").open("wb") as file,
        packed.packing(file, f"{name}{ending}") as target,
    ):
        target.write(content)
    (tmp_path / name).write_bytes(content)
    outputs = [tmp_path / f"out-{name}", tmp_path / f"out-{name}{ending}"]
    for source in (name, f"{name}{ending}"):
        for output in outputs:
            call(tmp_path / source, output, "--model", folder, "--workers", 1)
        plain, unpacked = outputs[0].read_bytes(), packed.unpacked(outputs[1])
        assert plain == unpacked
        assert plain != outputs[1].read_bytes()
        assert len(table_of(outputs[0], "\t" if ".tsv" in name else ",")) == len(rows)


def test_file_without_a_header(folder: Path, tmp_path: Path) -> None:
    PLAIN.to_csv(tmp_path / "named.csv", index=False)
    PLAIN.to_csv(tmp_path / "a.csv", index=False, header=False)
    call(tmp_path / "named.csv", tmp_path / "names.csv", "--model", folder)
    call(tmp_path / "a.csv", tmp_path / "numbers.csv", "--model", folder, "--no-header", "--text-column", 2)
    by_name, by_number = (table_of(tmp_path / name) for name in ("names.csv", "numbers.csv"))
    pd.testing.assert_frame_equal(by_number, by_name.rename(columns={"id": "1", "text": "2"}))
    for column in ("text", "0", "²"):
        with pytest.raises(PipelineError, match="--no-header needs numbers of columns, from 1"):
            call(tmp_path / "a.csv", tmp_path / "b.csv", "--model", folder, "--no-header", "--text-column", column)


def trained_on(folder: Path, columns: list[str | int], path: Path) -> Path:
    """Copy a model folder as if the model were trained on other columns."""
    shutil.copytree(folder, path)
    manifest = json.loads((path / "model.json").read_text())
    (path / "model.json").write_text(json.dumps(manifest | {"columns": {"text": columns}}))
    return path


def test_columns_are_those_of_training_and_joined_alike(folder: Path, tmp_path: Path) -> None:
    rows = pd.DataFrame({"title": ["good", "", "bad film"], "body": ["so good", " ", ""], "text": "bad"})
    rows.to_csv(tmp_path / "in.csv", index=False)
    rows.to_csv(tmp_path / "bare.csv", index=False, header=False)
    rows.assign(text=["good\nso good", "", "bad film"]).to_csv(tmp_path / "joined.csv", index=False)
    named = trained_on(folder, ["title", "body"], tmp_path / "named")
    numbered = trained_on(folder, [1, 2], tmp_path / "numbered")
    expected: list[list[str]] = []
    for source, *arguments in (
        ("joined.csv", folder),
        ("in.csv", named),
        ("in.csv", folder, "--text-column", "title", "--text-column", "body"),
        ("bare.csv", numbered),
        ("bare.csv", folder, "--no-header", "--text-column", "1", "--text-column", "2"),
    ):
        call(tmp_path / source, tmp_path / "out.csv", "--workers", 1, "--model", *arguments)
        output = table_of(tmp_path / "out.csv").iloc[:, -6:].to_numpy().tolist()
        assert output == (expected := expected or output)
        assert [row[-1] for row in output] == ["", "the text is empty", ""]
        assert [row[-2] for row in output] == ["3.0", "", "2.0"]  # known words
    call(tmp_path / "in.csv", tmp_path / "out.csv", "--workers", 1, "--model", named, "--text-column", "text")
    assert set(table_of(tmp_path / "out.csv")["known_words"]) == {"1.0"}
    call_mixed = (tmp_path / "in.csv", tmp_path / "out.csv", "--model")
    with pytest.raises(PipelineError, match="columns must be all names, or with --no-header all numbers, got 'title'"):
        call(*call_mixed, named, "--no-header")
    (tmp_path / "other.csv").write_text("text\na\n")
    with pytest.raises(PipelineError, match=r"has no column 'title'; it has 'text'; set --text-column"):
        call(tmp_path / "other.csv", tmp_path / "out.csv", "--model", named)


def test_cell_that_cannot_be_joined_is_an_error_of_its_row(folder: Path, tmp_path: Path) -> None:
    lines = ['{"title": "good", "body": 3}', '{"title": null, "body": "bad"}', '{"title": null}', "nonsense"]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    names = ("--text-column", "title", "--text-column", "body")
    call(tmp_path / "in.jsonl", tmp_path / "out.jsonl", "--workers", 1, "--model", folder, *names)
    errors = [json.loads(line)["error"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert errors == ["the text is not a string", None, "the text is missing", "the line is not a JSON object"]


def test_empty_rows_are_refused_and_known_words_counted(folder: Path) -> None:
    predictor = Predictor.load(folder)
    answers = predictor.answers(["good film!", "@bob xyz!", "<br>"])
    assert answers.known_words.tolist() == [2, 0, 0]  # type: ignore[union-attr]
    assert answers.empty.tolist() == [False, False, True]
    served, rows = ServedModel(predictor), pd.DataFrame({"text": ["good film!", "<br>"]})
    with pytest.raises(ValueError, match=r"^row 2 is empty$"):
        served.predict(rows)
    assert served.predict(rows, {"allow_empty": True})["known_words"].tolist() == [2, 0]


def test_model_that_counts_no_words_leaves_the_cells_empty(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older registered model, with its own code."""
    monkeypatch.setattr(ServedModel, "predict", lambda self, table, params: table.assign(confidence=0.5))
    with open_model(str(folder)) as model:
        assert model.load()({"text": ["good", "bad"]}, "") == [["good", "bad"], [0.5, 0.5], [None, None]]


def test_oldest_models_take_no_parameters(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(folder, tmp_path / "old")
    manifest = json.loads((folder / "model.json").read_text())
    monkeypatch.setattr(Predictor, "load", lambda path: None)
    monkeypatch.setattr(ServedModel, "predict", lambda self, table: table)
    del manifest["class_shares"]
    (tmp_path / "old/model.json").write_text(json.dumps(manifest))
    with open_model(str(tmp_path / "old")) as model:
        assert model.load()({"text": ["good"]}, "") == [["good"], [None]]


def test_array_becomes_lines(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"text": "good"},\n {"text": "bad"}]', encoding="utf-8")
    call(tmp_path / "a.json", tmp_path / "b.jsonl", "--model", folder)
    call(tmp_path / "a.json", tmp_path / "b.json", "--model", folder)
    lines = (tmp_path / "b.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert len(lines) == 2


def test_encoding_and_delimiter_given(folder: Path, tmp_path: Path) -> None:
    content = "text^n\nочень хорошо^1\n".encode("cp1251")
    (tmp_path / "in.csv").write_bytes(content)
    arguments = (tmp_path / "in.csv", tmp_path / "out.csv", "--model", folder, "--delimiter", "^")
    call(*arguments, "--encoding", "cp1251")
    assert table_of(tmp_path / "out.csv", "^")["text"].tolist() == ["очень хорошо"]
    with pytest.raises(PipelineError, match=r"in\.csv is neither UTF-8 nor .*; name its encoding with --encoding"):
        call(*arguments)
    with pytest.raises(SystemExit) as ended:
        call(*arguments, "--encoding", "utf-8")  # bytes that are not UTF-8 come back
    assert ended.value.code == table.NOTHING_LABELLED
    assert content.splitlines()[1].partition(b"^")[0] in (tmp_path / "out.csv").read_bytes()
    for option, value in (("--encoding", "nonsense"), ("--delimiter", ",,")):
        with pytest.raises(SystemExit):
            call(*arguments, option, value)
    with pytest.raises(PipelineError, match="--delimiter applies only to csv, not to jsonl"):
        call(*arguments, "--format", "jsonl")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_mark_stays(folder: Path, tmp_path: Path, encoding: str) -> None:
    (tmp_path / "in.csv").write_bytes("text\ngood\n".encode(encoding))
    call(tmp_path / "in.csv", tmp_path / "out.csv", "--model", folder)
    assert (tmp_path / "out.csv").read_bytes().startswith(b'\xef\xbb\xbf"text"')


def test_standard_input_in_a_given_encoding(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("-", tmp_path / "out.csv", "--model", folder, "--workers", 1, "--encoding", "gbk")
    content = csv_of(CHINESE, ";").decode().encode("gbk")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    call(*arguments)
    assert table_of(tmp_path / "out.csv", ";")["text"].tolist() == CHINESE["text"].tolist()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content + b"4;\xff\xff\n")))
    with pytest.raises(PipelineError, match=r"standard input, after line .*, is not gbk; set --encoding"):
        call(*arguments)


def test_damaged_compressed_file_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    content = gzip.compress(b"text\n" + "".join(f"{text!r}\n" for text in TEXTS).encode())
    (tmp_path / "in.csv.gz").write_bytes(content[:-500])
    with pytest.raises(PipelineError, match=r"cannot read .*in\.csv\.gz \(.*\); check that it is complete"):
        call(tmp_path / "in.csv.gz", tmp_path / "out.csv", "--model", folder)
    (tmp_path / "in.csv").write_bytes(content)
    with pytest.raises(PipelineError, match=r"in\.csv is a compressed file or a spreadsheet; rename or convert it"):
        call(tmp_path / "in.csv", tmp_path / "out.csv", "--model", folder)
    assert not (tmp_path / "out.csv").exists()


def test_class_shares_are_estimated(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in TEXTS[:500]) + "\n[]\n")
    monkeypatch.setattr(prediction_job, "CHUNK", 100)
    arguments = (tmp_path / "in.jsonl", tmp_path / "out.jsonl", "--model", folder, "--workers", 1, "--class-shares")
    call(*arguments, "estimate")
    printed = capsys.readouterr()
    assert "1 rows: the line is not a JSON object" in printed.out
    result = pd.read_json(tmp_path / "out.jsonl", lines=True)[["p_happy", "p_sad"]]
    usable = result["p_sad"].notna().to_numpy()[:500]
    plain = Predictor.load(folder).probabilities([text for text, use in zip(TEXTS[:500], usable, strict=True) if use])
    shares = estimate_class_priors(plain, PRIORS).priors
    assert f"class shares, estimated (of validation rows): happy {shares[0]:.1%} (20.0%), sad" in printed.err
    expected = plain * shares / [0.6, 0.4]
    np.testing.assert_allclose(result.dropna(), expected / expected.sum(axis=1, keepdims=True), atol=1e-4)
    with pytest.raises(PipelineError, match="--class-shares must be estimate, or a JSON object"):
        call(*arguments, "half")
    manifest = json.loads((folder / "model.json").read_text())
    older = tmp_path / "older"
    older.mkdir()
    (older / "model.json").write_text(json.dumps({k: v for k, v in manifest.items() if k != "class_shares"}))
    with pytest.raises(PipelineError, match="older is older than --class-shares"):
        call(*arguments, "estimate", "--model", older)
    (older / "model.json").write_text(json.dumps({k: v for k, v in manifest.items() if k != "class_priors"}))
    with pytest.raises(PipelineError, match=r"older cannot estimate class shares, .*; train it again, or name each"):
        call(*arguments, "estimate", "--model", older)


def test_predictions_stay_the_same_if_class_shares_do(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By one estimate from all rows, whatever their chunks: too few to tell, or by a model that does not estimate."""
    shutil.copytree(folder, copy := tmp_path / "model")
    manifest = json.loads((folder / "model.json").read_text())
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in TEXTS[:200]))
    arguments = (tmp_path / "in.jsonl", "--workers", 1, "--model", copy)
    call(arguments[0], tmp_path / "usual.jsonl", *arguments[1:])
    for changes, sentence in (
        ({"rows": 1}, " rows do not differ significantly from those of the validation rows (p = "),
        ({"estimable": False}, "class shares: not estimated"),
    ):
        (copy / "model.json").write_text(json.dumps(manifest | {"class_priors": PRIORS | changes}))
        call(arguments[0], tmp_path / "out.jsonl", *arguments[1:], "--class-shares", "estimate")
        assert sentence in capsys.readouterr().err
        assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "usual.jsonl").read_bytes()


def test_unusable_files_are_one_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text\na\n")
    (tmp_path / "out.csv").mkdir()
    for arguments, sentence in [
        ((tmp_path / "no.csv", "o.csv"), r"no\.csv does not exist"),
        ((tmp_path / "in.csv", tmp_path / "out.csv"), r"cannot overwrite .*out\.csv: not a regular file"),
        ((tmp_path / "in.csv", tmp_path / "x/../in.csv"), r"in\.csv is the input, which would be lost"),
        ((tmp_path / "in.csv", "o.jsonl"), r"o\.jsonl must have the format of .*in\.csv, csv; choose another name"),
        ((tmp_path / "in.pdf", "o.pdf"), r"unsupported file extension of .*in\.pdf; use \.csv, .*, or set --format"),
        ((tmp_path / "in.csv", "o.csv", "--workers", 0), "--workers must be 1 or more, got 0"),
        (("-", "-", "--class-shares", "estimate"), "reads the texts twice"),
        ((tmp_path / "in.csv", "o.csv", "--model", tmp_path), "is not a model folder: it has no model.json"),
    ]:
        with pytest.raises(PipelineError, match=sentence):
            call(*arguments[:2], "--model", folder, *arguments[2:])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_standard_input_to_output_without_tensorflow(folder: Path) -> None:
    code = (
        "import sys; from pipeline.serving import table;"
        "table.main(['-', '-', '--model', sys.argv[1], '--format', 'jsonl']);"
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


def test_killed_run_leaves_no_file(folder: Path, tmp_path: Path) -> None:
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
