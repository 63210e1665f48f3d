"""Detect encodings, replace damaged bytes."""

from pathlib import Path

import pytest
from helpers.readers import CHINESE, ENGLISH, csv_text, read, rows

from pipeline.base.errors import PipelineError


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


def test_wrong_given_encoding_is_one_sentence(tmp_path: Path) -> None:
    content = csv_text(CHINESE).encode("gbk")
    with pytest.raises(PipelineError, match=r"a\.csv, line 2, is not utf-8; name its encoding"):
        read(tmp_path, "a.csv", content, encoding="utf-8")


def test_detected_encoding_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read(tmp_path, "a.csv", csv_text(CHINESE).encode("gbk"))
    assert "is read as gb18030; name another encoding with ingest.encoding" in capsys.readouterr().err


def test_damaged_bytes_are_replaced_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = b"text,label\n" + b"fine,x\n" * 5_000 + b"brok\xffen,x\n" + "gut für uns,y\n".encode() * 3
    table = read(tmp_path, "a.csv", content)
    assert table["text"].iloc[5_000] == "brok�en"
    assert table["text"].iloc[5_001] == "gut für uns"
    message = capsys.readouterr().err
    assert "1 line(s) hold bytes that are not utf-8, the first being line 5002" in message


def test_one_damaged_line_is_not_another_encoding(tmp_path: Path) -> None:
    table = read(tmp_path, "a.csv", b"text,label\n" + b"fine,x\n" * 2_000 + b"brok\xffen,x\n")
    assert table["text"].iloc[2_000] == "brok�en"


@pytest.mark.parametrize("damage", [b"brok\xffen", "gekürzt".encode("cp1252"), "很好".encode("gbk")])
def test_few_damaged_lines_are_replaced(tmp_path: Path, damage: bytes) -> None:
    content = b"text,label\n" + b"fine,x\n" * 10_000 + (damage + b",x\n") * 5
    assert read(tmp_path, "a.csv", content)["text"].str.contains("�").sum() == 5


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


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
@pytest.mark.parametrize("content", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xef\xbb\xbf\n\r\n", b"\xfe\xff\x00\n"])
def test_byte_order_mark_only_is_empty(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(PipelineError, match=f"{name} is empty; it must have the columns text, label"):
        read(tmp_path, name, content)
