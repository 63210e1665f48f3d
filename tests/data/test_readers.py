"""Read whole files: formats, compressions, delimiters, folders; one sentence for a broken file."""

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from helpers.readers import BROKEN, CHINESE, COLUMNS, ENGLISH, csv_text, read, rows, zipped, zstd

from pipeline.base.errors import PipelineError
from pipeline.data.readers import compression, formats


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_detected(tmp_path: Path, delimiter: str) -> None:
    assert rows(read(tmp_path, "a.csv", csv_text(ENGLISH, delimiter).encode())) == ENGLISH
    assert rows(read(tmp_path, "b.csv", csv_text(ENGLISH, delimiter).encode(), delimiter=delimiter)) == ENGLISH


def test_delimiter_that_gives_the_wanted_columns(tmp_path: Path) -> None:
    assert rows(read(tmp_path, "a.csv", b"text;label;a, b, c, d\nx;y;z\n")) == [("x", "y")]
    assert rows(read(tmp_path, "b.csv", csv_text(ENGLISH, "^").encode(), delimiter="^")) == ENGLISH
    assert rows(read(tmp_path, "c.tsv", csv_text(ENGLISH, "\t").encode(), delimiter=";")) == ENGLISH


@pytest.mark.parametrize(
    ("ending", "pack"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zip", zipped), (".zst", zstd)],
)
def test_compressed_files(tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]) -> None:
    assert rows(read(tmp_path, f"A.CSV{ending}", pack(csv_text(CHINESE).encode()))) == CHINESE


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz", ".zip", ".zst"])
def test_limit_of_unpacked_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    pack = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zip": zipped, ".zst": zstd}[ending]
    monkeypatch.setattr(compression, "MOST_UNPACKED", 1_000)
    content = csv_text(ENGLISH * 100).encode()
    with pytest.raises(PipelineError, match="GB unpacked; split it"):
        read(tmp_path, f"a.csv{ending}", pack(content))
    monkeypatch.setattr(compression, "MOST_UNPACKED", len(content))
    assert len(read(tmp_path, f"a.csv{ending}", pack(content))) == 100 * len(ENGLISH)


def test_zip_made_on_a_mac(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.csv.zip", "w") as archive:
        for name in ("a.csv", "__MACOSX/._a.csv"):
            archive.writestr(name, csv_text(ENGLISH))
        archive.mkdir("folder")
    assert rows(formats.read(tmp_path / "a.csv.zip", COLUMNS)) == ENGLISH


def test_tsv_json_lines_and_parquet(tmp_path: Path) -> None:
    table = pd.DataFrame(CHINESE, columns=COLUMNS)
    assert rows(read(tmp_path, "a.tsv", csv_text(CHINESE, "\t").encode())) == CHINESE
    for name in ("a.jsonl", "a.ndjson"):
        assert rows(read(tmp_path, name, table.to_json(orient="records", lines=True).encode())) == CHINESE
    table.to_parquet(tmp_path / "a.parquet")
    assert rows(formats.read(tmp_path / "a.parquet", COLUMNS)) == CHINESE
    for name in ("a.tsv", "a.jsonl", "a.parquet"):
        assert list(formats.read(tmp_path / name, ["label", "text"]).columns) == ["label", "text"]


def test_json_lines_keep_types(tmp_path: Path) -> None:
    content = b'{"text": "a \\ud83d", "label": 1, "other": []}\n\n{"label": true, "text": null}\n'
    assert rows(read(tmp_path, "a.jsonl", content)) == [("a �", 1), (None, True)]


def test_cells_stay_unchanged(tmp_path: Path) -> None:
    content = b'text,label\n=@SUM(A1),NA\nNone,nan\n,\n"a\rb",1.0\n'
    expected = [("=@SUM(A1)", "NA"), ("None", "nan"), ("a\rb", "1.0")]
    assert rows(read(tmp_path, "a.csv", content)) == expected


def test_many_empty_columns(tmp_path: Path) -> None:
    names = [f"column {number}" for number in range(13)]
    content = ",".join([*names, "text", "label"]) + "\n" + ("," * 13 + "good,yes\n") * 3
    assert rows(read(tmp_path, "a.csv", content.encode())) == [("good", "yes")] * 3


def test_carriage_returns_as_line_ends(tmp_path: Path) -> None:
    assert rows(read(tmp_path, "a.csv", b"text,label\ra,b\rc,d\r")) == [("a", "b"), ("c", "d")]


@pytest.mark.parametrize("case", BROKEN)
def test_broken_file_is_one_sentence(tmp_path: Path, case: str) -> None:
    name, content, sentence = BROKEN[case]
    with pytest.raises(PipelineError) as error:
        read(tmp_path, name, content)
    assert str(tmp_path / name) in str(error.value)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_files_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="does not exist; name your file or folder"):
        formats.table_files(tmp_path / "no.csv")
    with pytest.raises(PipelineError, match="has no table in it"):
        formats.table_files(tmp_path)
    pd.DataFrame(columns=COLUMNS).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(PipelineError, match=r"a\.parquet has columns but no rows"):
        formats.read(tmp_path / "a.parquet", COLUMNS)
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(PipelineError, match="is a folder; name a file"):
        formats.read(tmp_path / "a.csv", COLUMNS)


def test_long_column_names_are_not_shown(tmp_path: Path) -> None:
    private = "I have told nobody but you that I am so very unhappy with this phone"
    with pytest.raises(PipelineError) as error:
        read(tmp_path, "a.csv", f"{private},sad\nfine,glad\n".encode())
    assert private not in str(error.value)
    assert "sad" not in str(error.value)
    with pytest.raises(PipelineError, match=r"it has '\(a name of 68 characters\)', 'x'"):
        read(tmp_path, "a.jsonl", f'{{"{private}": 1, "x": 2}}'.encode())
    with pytest.raises(PipelineError, match="is not valid JSON"):
        read(tmp_path, "a.jsonl", b'{"a": ' + b"[" * 100_000 + b"\n")
    with pytest.raises(PipelineError, match="check that it is complete"):
        read(tmp_path, "a.csv.bz2", bz2.compress(b"text,label\na,b\n" * 99)[:-9])


def test_delimiter_line_of_excel(tmp_path: Path) -> None:
    content = b"sep=;\r\ntext;label;;\r\na,b;c;;\r\n"
    assert rows(read(tmp_path, "a.csv", content)) == [("a,b", "c")]


def test_lone_quote_in_an_unquoted_tsv(tmp_path: Path) -> None:
    content = b'text\tlabel\n"he said so\ta\nfine\tb\nsaid "\ta\n'
    assert rows(read(tmp_path, "a.tsv", content)) == [('"he said so', "a"), ("fine", "b"), ('said "', "a")]
    quoted = b'text\tlabel\n"he ""said"" so"\ta\n"two\nlines"\tb\n'
    assert rows(read(tmp_path, "b.tsv", quoted)) == [('he "said" so', "a"), ("two\nlines", "b")]


def test_delimiter_line_only_has_no_column(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"a\.csv has no column 'text'"):
        read(tmp_path, "a.csv", b"sep=;\n")


@pytest.mark.parametrize(("name", "content"), [("a.csv", b"text,x\na,b\n"), ("a.jsonl", b'{"text": "a"}\n')])
def test_missing_optional_columns_are_null(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert rows(formats.read(tmp_path / name, ["text"], optional=["label"])) == [("a", None)]
    with pytest.raises(PipelineError, match="has no column 'label'"):
        formats.read(tmp_path / name, ["label"], optional=["text"])
    pd.DataFrame({"text": ["a"]}).to_parquet(tmp_path / "a.parquet")
    assert rows(formats.read(tmp_path / "a.parquet", ["text"], optional=["label"])) == [("a", None)]


def test_optional_columns_decide_the_delimiter(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"text;label;a, b, c, d\nx;y;z\n")
    assert rows(formats.read(tmp_path / "a.csv", ["text"], optional=["label"])) == [("x", "y")]
    (tmp_path / "a.csv").write_bytes(b"text,label,label\nx,y,z\n")
    with pytest.raises(PipelineError, match="has the column 'label' 2 times"):
        formats.read(tmp_path / "a.csv", ["text"], optional=["label"])
