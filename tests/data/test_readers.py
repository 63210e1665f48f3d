"""Reading: each format, compression and encoding, whole and as a stream; one sentence for a broken file."""

import bz2
import gzip
import io
import lzma
import tracemalloc
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from pipeline.base.errors import PipelineError
from pipeline.data.readers import compression, formats

COLUMNS = ["text", "label"]

ENGLISH = [("it's great", "positive"), ("café très “moyen”", "neutral"), ("line one\nline two, and more", "negative")]

CHINESE = [("很好，我喜欢这个手机", "正面"), ("太差了！再也不买", "负面"), ("一般般，没有说的那么好", "中性")]


def csv_text(rows: list[tuple[str, str]], delimiter: str = ",") -> str:
    return pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False, sep=delimiter)


def read(tmp_path: Path, name: str, content: bytes, columns: list[str] = COLUMNS, **options: str) -> pd.DataFrame:
    (tmp_path / name).write_bytes(content)
    return formats.read(tmp_path / name, columns, **options)


def stream(path: Path, columns: Sequence[str] = COLUMNS, **options: str) -> list[tuple[str, ...]]:
    """Return the cells that a stream yields, in chunks of two rows."""
    opened = formats.open_stream(str(path), {column: column for column in columns}, **options)
    return [row for _, cells in opened.chunks(2) for row in zip(*(cells[column] for column in columns), strict=True)]


def rows(table: pd.DataFrame) -> list[tuple[str, ...]]:
    return [tuple(row) for row in table.to_numpy(dtype=object).tolist()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("content", [ENGLISH * 30, CHINESE * 30])
def test_unicode_encodings_are_detected(tmp_path: Path, encoding: str, content: list[tuple[str, str]]) -> None:
    assert rows(read(tmp_path, "a.csv", csv_text(content).encode(encoding))) == content


def test_big_endian_by_its_mark(tmp_path: Path) -> None:
    content = b"\xfe\xff" + csv_text([("很好" * 500, "正面")]).encode("utf-16-be")
    assert rows(read(tmp_path, "a.csv", content)) == [("很好" * 500, "正面")]


def test_gbk_and_windows_1252_are_detected(tmp_path: Path) -> None:
    assert rows(read(tmp_path, "a.csv", csv_text(CHINESE).encode("gbk"))) == CHINESE
    assert rows(read(tmp_path, "b.csv", csv_text(ENGLISH * 30).encode("cp1252"))) == ENGLISH * 30


def test_given_encoding_wins(tmp_path: Path) -> None:
    russian = [("очень хорошо", "плюс")]
    assert rows(read(tmp_path, "a.csv", csv_text(russian).encode("cp1251"), encoding="cp1251")) == russian


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_detected(tmp_path: Path, delimiter: str) -> None:
    assert rows(read(tmp_path, "a.csv", csv_text(ENGLISH, delimiter).encode())) == ENGLISH
    assert rows(read(tmp_path, "b.csv", csv_text(ENGLISH, delimiter).encode(), delimiter=delimiter)) == ENGLISH


def test_delimiter_that_gives_the_wanted_columns(tmp_path: Path) -> None:
    assert rows(read(tmp_path, "a.csv", b"text;label;a, b, c, d\nx;y;z\n")) == [("x", "y")]
    assert rows(read(tmp_path, "b.csv", csv_text(ENGLISH, "^").encode(), delimiter="^")) == ENGLISH
    assert rows(read(tmp_path, "c.tsv", csv_text(ENGLISH, "\t").encode(), delimiter=";")) == ENGLISH


def zipped(content: bytes, files: int = 1) -> bytes:
    with zipfile.ZipFile(stream := io.BytesIO(), "w") as archive:
        for number in range(files):
            archive.writestr(f"{number}.csv", content)
    return stream.getvalue()


def zstd(content: bytes) -> bytes:
    stream = pa.BufferOutputStream()
    with pa.CompressedOutputStream(stream, "zstd") as compressed:
        compressed.write(content)
    return bytes(stream.getvalue())


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
    content = b'text,label\n=@SUM(A1),NA\nNone,nan\n,\n"a\rb",1.0\nlast\n'
    expected = [("=@SUM(A1)", "NA"), ("None", "nan"), ("", ""), ("a\rb", "1.0"), ("last", "")]
    assert rows(read(tmp_path, "a.csv", content)) == expected


def test_many_empty_columns(tmp_path: Path) -> None:
    names = [f"column {number}" for number in range(13)]
    content = ",".join([*names, "text", "label"]) + "\n" + ("," * 13 + "good,yes\n") * 3
    assert rows(read(tmp_path, "a.csv", content.encode())) == [("good", "yes")] * 3


def test_carriage_returns_as_line_ends(tmp_path: Path) -> None:
    assert rows(read(tmp_path, "a.csv", b"text,label\ra,b\rc,d\r")) == [("a", "b"), ("c", "d")]


def test_damaged_bytes_are_replaced_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = b"text,label\n" + b"fine,x\n" * 5_000 + b"brok\xffen,x\n" + "gut für uns,y\n".encode() * 3
    table = read(tmp_path, "a.csv", content)
    assert table["text"][5_000] == "brok�en"
    assert table["text"][5_001] == "gut für uns"
    message = capsys.readouterr().err
    assert "1 line(s) hold bytes that are not utf-8, the first being line 5002" in message


def test_one_damaged_line_is_not_another_encoding(tmp_path: Path) -> None:
    table = read(tmp_path, "a.csv", b"text,label\n" + b"fine,x\n" * 2_000 + b"brok\xffen,x\n")
    assert table["text"][2_000] == "brok�en"


def test_tables_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.csv", "a/c.jsonl.gz", "README.md", ".hidden.csv", ".git/d.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    names = [file.relative_to(tmp_path).as_posix() for file in formats.table_files(tmp_path)]
    assert names == ["a/c.jsonl.gz", "b.csv"]


BROKEN: dict[str, tuple[str, bytes, str]] = {
    "empty": ("a.csv", b"", "is empty; it must have the columns text, label"),
    "blank": ("a.csv", b"\n \n", "is empty"),
    "header only": ("a.csv", b"text,label\n", "has a header but no rows"),
    "missing column": ("a.csv", b"Text,class\na,b\n", "has no column 'text'; did you mean 'Text'?"),
    "no such column": ("a.csv", b"x,y\na,b\n", "has no column 'text'; it has 'x', 'y'"),
    "duplicate column": ("a.csv", b"text,label,text\na,b,c\n", "has the column 'text' 2 times"),
    "unclosed quote": ("a.csv", b'text,label\na,b\n"c,d\ne,f\n', "opens a quote in row 2 that nothing closes"),
    "unclosed quote in the header": ("a.csv", b'"text,label\na,b\n', "has no column 'text'"),
    "too many cells": ("a.csv", b"text,label\na,b\nc,d,e\n", "has 3 cells in row 2, but 2 columns"),
    "too many cells everywhere": ("a.csv", b"text,label\na,b,c\n", "row 1 has more cells than the header's 2"),
    "NUL byte": ("a.csv", b"text,label\na,b\nc\0,d\n", "line 3, holds a NUL byte"),
    "half a UTF-16 character": ("a.csv", "text,label\na,b\n".encode("utf-16")[:-1], "is not utf-16"),
    "no encoding": ("a.csv", b"text,label\n" + b"\x81\x8d\x9d,b\n" * 9, "is neither UTF-8, UTF-16, GBK nor"),
    "Shift JIS": ("a.csv", "text,label\nかなです,b\n".encode("shift-jis") * 9, "is neither UTF-8, UTF-16, GBK nor"),
    "malformed JSON": ("a.jsonl", b'{"text": "a", "label": "b"}\n{"text": \n', "line 2, is not valid JSON"),
    "JSON that is no object": ("a.jsonl", b'"a"\n', "line 1, is not a JSON object"),
    "JSON without the key": ("a.jsonl", b'{"text": "a"}\n', "has no column 'label'; it has 'text'"),
    "a JSON array": ("a.jsonl", b'[{"text": "a"}]\n', "is a JSON array; write one object a line"),
    "gzip without saying so": ("a.csv", gzip.compress(b"text,label\na,b\n"), "is a compressed file or a spreadsheet"),
    "a title above the header": ("a.csv", b"Report\n\ntext,label\na,b\n", "check that the header is the first line"),
    "no Parquet": ("a.parquet", b"PAR1 but not really", "is not a readable Parquet file"),
    "no gzip": ("a.csv.gz", b"text,label\na,b\n", "(Not a gzipped file"),
    "half a gzip": ("a.csv.gz", gzip.compress(b"text,label\na,b\n")[:-9], "check that it is complete"),
    "no zip": ("a.csv.zip", b"hello", "(File is not a zip file)"),
    "two in a zip": ("a.csv.zip", zipped(b"text,label\na,b\n", 2), "holds 2 files; it must hold one table"),
    "unknown ending": ("a.xlsx", b"PK", "convert it to one of .csv, .tsv"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_file_is_one_sentence(tmp_path: Path, case: str) -> None:
    name, content, sentence = BROKEN[case]
    with pytest.raises(PipelineError) as error:
        read(tmp_path, name, content)
    assert str(tmp_path / name) in str(error.value)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_wrong_given_encoding_is_one_sentence(tmp_path: Path) -> None:
    content = csv_text(CHINESE).encode("gbk")
    with pytest.raises(PipelineError, match=r"a\.csv, line 2, is not utf-8; name its encoding"):
        read(tmp_path, "a.csv", content, encoding="utf-8")


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


@pytest.mark.parametrize("damage", [b"brok\xffen", "gekürzt".encode("cp1252"), "很好".encode("gbk")])
def test_few_damaged_lines_are_replaced(tmp_path: Path, damage: bytes) -> None:
    content = b"text,label\n" + b"fine,x\n" * 10_000 + (damage + b",x\n") * 5
    assert read(tmp_path, "a.csv", content)["text"].str.contains("�").sum() == 5


def test_long_column_names_are_not_shown(tmp_path: Path) -> None:
    private = "I have told nobody but you that I am so very unhappy with this phone"
    with pytest.raises(PipelineError) as error:
        read(tmp_path, "a.csv", f"{private},sad\nfine,glad\n".encode())
    assert private not in str(error.value)
    assert "'(a name of 68 characters)', 'sad'" in str(error.value)
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


def test_detected_encoding_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read(tmp_path, "a.csv", csv_text(CHINESE).encode("gbk"))
    assert "is read as gb18030; name another encoding with ingest.encoding" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
@pytest.mark.parametrize("content", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xef\xbb\xbf\n\r\n", b"\xfe\xff\x00\n"])
def test_byte_order_mark_only_is_empty(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(PipelineError, match=f"{name} is empty; it must have the columns text, label"):
        read(tmp_path, name, content)


def test_delimiter_line_only_has_no_column(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"a\.csv has no column 'text'"):
        read(tmp_path, "a.csv", b"sep=;\n")


def test_few_lines_of_windows_1252_are_not_damage(tmp_path: Path) -> None:
    content = b"text,label\n" + b"fine,x\n" * 2_000 + "gekürzt,x\n".encode("cp1252") * 10
    assert (read(tmp_path, "a.csv", content)["text"] == "gekürzt").sum() == 10


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("big5", "很好我喜歡這個手機太差了再也不買"),
        ("euc_kr", "이 영화는 정말 재미있고 배우들의 연기도 훌륭해서 다시 보고 싶은 작품입니다"),
        ("euc_jp", "この映画はとても面白くて、俳優の演技も素晴らしかったです"),
    ],
)
def test_other_asian_encodings_are_not_read_as_gbk(tmp_path: Path, encoding: str, text: str) -> None:
    content = csv_text([(text, "正面" if encoding == "big5" else "good")] * 9).encode(encoding)
    with pytest.raises(PipelineError, match="is neither UTF-8, UTF-16, GBK nor Windows-1252"):
        read(tmp_path, "a.csv", content)


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


DAMAGED = csv_text(CHINESE * 1000).encode("gbk").replace("太差".encode("gbk"), b"\xff\xff", 1)

STREAMED: dict[str, tuple[str, bytes]] = {
    "spaces around names": ("a.csv", b"id, text ,label\n1,a,b\n"),
    "blank lines above the header": ("a.csv", b"\n\r\ntext,label\na,b\n"),
    "blank lines between rows": ("a.csv", b"text,label\na,b\n\nc,d\n"),
    "Excel": ("a.csv", b"sep=;\r\ntext;label;;\r\na,b;c;;\r\n"),
    "old Mac": ("a.csv", b"text,label\ra,b\rc,d\r"),
    "bare carriage return in a cell": ("a.csv", b'text,label\na\rb,x\n"c\rd",y\n'),
    "line break in a name": ("a.csv", b'"a\nname",text,label\n1,a,b\n'),
    "characters after a quote": ("a.csv", b'text,label\n"a" b,x\nc "d",y\n'),
    "lone quotes": ("a.tsv", b'text\tlabel\n"he said so\ta\nfine\tb\nsaid "\ta\n'),
    "quoted": ("a.tsv", b'text\tlabel\n"he ""said"" so"\ta\n"two\nlines"\tb\n'),
    "two columns of one name": ("a.csv", b"text,x,label,x\na,1,b,2\n"),
    "short rows": ("a.csv", b"text,label\na\nb,c"),
    "GBK": ("a.csv", csv_text(CHINESE).encode("gbk")),
    "GBK in JSON": (
        "a.jsonl",
        pd.DataFrame(CHINESE, columns=COLUMNS).to_json(orient="records", lines=True, force_ascii=False).encode("gbk"),
    ),
    "Windows-1252": ("a.csv", csv_text(ENGLISH * 30).encode("cp1252")),
    "UTF-16": ("a.csv", csv_text(CHINESE * 30).encode("utf-16")),
    "UTF-16 without mark": ("a.csv", csv_text(CHINESE * 30).encode("utf-16-be")),
    "UTF-8 with mark": ("a.csv", csv_text(CHINESE).encode("utf-8-sig")),
    "zip": ("a.csv.zip", zipped(csv_text(CHINESE).encode())),
    "zstd": ("a.tsv.zst", zstd(csv_text(CHINESE, "\t").encode("gbk"))),
}


@pytest.mark.parametrize("case", STREAMED)
def test_stream_reads_what_ingest_reads(tmp_path: Path, case: str) -> None:
    name, content = STREAMED[case]
    table = read(tmp_path, name, content)
    cells = [(text, label) for text, label in stream(tmp_path / name) if text or label]  # of blank lines
    assert [tuple(cell.replace("\r\n", "\n") for cell in row) for row in cells] == rows(table)


def test_stream_of_another_encoding_with_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = read(tmp_path, "a.csv", DAMAGED, encoding="gbk")
    message = capsys.readouterr().err
    assert stream(tmp_path / "a.csv", encoding="gbk") == rows(table)
    assert capsys.readouterr().err == message
    assert "1 line(s) hold bytes that are not gbk, the first being line 3" in message
    with pytest.raises(PipelineError, match=r"a\.csv, line 2, is not cp1253; name its encoding with --encoding"):
        stream(tmp_path / "a.csv", encoding="cp1253")


STREAM_BROKEN = set(BROKEN) - {"header only", "NUL byte", "malformed JSON", "JSON that is no object", "a JSON array"}


@pytest.mark.parametrize("case", sorted(STREAM_BROKEN))
def test_broken_stream_is_one_sentence(tmp_path: Path, case: str) -> None:
    name, content, _ = BROKEN[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PipelineError) as error:
        stream(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)
    assert "ingest" not in str(error.value)


def test_stream_holds_little_memory(tmp_path: Path) -> None:
    """GBK and gzip, so that each step of reading takes part."""
    line = ("很好，我喜欢这个手机" * 20 + ",正面\n").encode("gbk")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"text,label\n" + line * 50_000, compresslevel=1))
    opened = formats.open_stream(str(tmp_path / "a.csv.gz"), {"text": "text"})
    tracemalloc.start()
    try:
        count = sum(len(cells["text"]) for _, cells in opened.chunks(1_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 50_000
    assert peak < 8_000_000  # the file has 20 MB
