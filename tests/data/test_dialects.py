"""Quoting of a CSV: judged by lines and rows, so that no quote swallows rows, and no quoted cell is torn."""

from pathlib import Path

import pytest
from helpers.readers import read, rows, stream

from pipeline.base.errors import PipelineError
from pipeline.data.readers import formats
from pipeline.data.readers.delimiters import choose_delimiter
from pipeline.data.readers.dialects import Dialect, choose_dialect, records
from pipeline.data.readers.reading import Reading

LABELS = ("sad", "glad", "calm")


def rows_of(lines: list[str], delimiter: str = ",", width: int = 2) -> tuple[str, list[list[str]], list[str]]:
    """The quoting that was chosen, the cells of all rows, and the notes that are not empty."""
    dialect, _ = choose_dialect(lambda: lines, delimiter, width)
    read_rows = list(records(lines, dialect))
    return dialect.quoting, [row.cells for row in read_rows], [row.note for row in read_rows if row.note]


def lines_with(texts: dict[int, str], delimiter: str = ",", count: int = 60) -> list[str]:
    """Lines of a text and a label; `texts` replaces some of the texts."""
    return [f"{texts.get(i, f'text {i}')}{delimiter}{LABELS[i % 3]}" for i in range(count)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("quotes", [{5: '"open'}, {5: '"open', 20: '"again'}, {5: '"open', 20: 'ends"'}, {5: '"a" b'}])
def test_stray_quote_is_a_character(delimiter: str, quotes: dict[int, str]) -> None:
    lines = lines_with(quotes, delimiter)
    quoting, rows, _ = rows_of(lines, delimiter)
    assert rows == [line.split(delimiter) for line in lines]
    assert quoting == "text"


def test_stray_quotes_among_quoted_cells() -> None:
    lines = lines_with({i: f'"one, two {i}"' for i in range(0, 60, 2)} | {7: '"open', 31: '"open', 33: 'closed"'})
    quoting, rows, notes = rows_of(lines)
    assert quoting == "quoted"
    assert [len(row) for row in rows] == [2] * 60
    assert (rows[0], rows[7], rows[31], rows[33]) == (
        ["one, two 0", "sad"],
        ['"open', "glad"],
        ['"open', "glad"],
        ['closed"', "sad"],
    )
    assert notes == ["stray quotes"] * 2


def test_line_breaks_inside_quotes_stay() -> None:
    lines = [line for i in range(30) for line in (f'"first {i}, so', "", f'so ""good"" {i}",{LABELS[i % 3]}')]
    quoting, rows, notes = rows_of(lines)
    assert (quoting, len(rows), notes) == ("quoted", 30, [])
    assert rows[1] == ['first 1, so\n\nso "good" 1', "glad"]


@pytest.mark.parametrize("space", [" ", "  "])
def test_space_before_a_quote_is_not_data(space: str) -> None:
    lines = [f'{LABELS[i % 3]},{space}"text {i}, and more"' for i in range(30)]
    quoting, rows, _ = rows_of(lines)
    assert quoting == "spaced"
    assert rows[1] == ["glad", "text 1, and more"]
    assert rows_of([f'{LABELS[i % 3]},{space}"text {i}"' for i in range(30)])[1][1] == ["glad", "text 1"]


def test_backslash_escapes_a_quote() -> None:
    lines = lines_with({i: f'"a 55\\" TV, \\"so\\" {i}"' for i in range(0, 60, 3)})
    quoting, rows, notes = rows_of(lines)
    assert (quoting, notes) == ("escaped", [])
    assert rows[3] == ['a 55" TV, "so" 3', "sad"]
    assert rows_of(lines_with({i: f'"C:\\new {i}"' for i in range(60)}))[1][3] == ["C:\\new 3", "sad"]


def test_quoted_cells_are_not_torn() -> None:
    lines = [f'"text {i}","{LABELS[i % 3]}"' for i in range(30)] + ['"broken" here,"sad"']
    quoting, rows, _ = rows_of(lines)
    assert quoting == "quoted"
    assert rows[1] == ["text 1", "glad"]


def test_one_ragged_line_changes_no_other_row() -> None:
    lines = lines_with({5: '"open', 40: '"open'}, "\t")
    lines[10] = "no label"
    _, rows, notes = rows_of(lines, "\t")
    assert rows == [line.split("\t") for line in lines]
    assert notes == ["broken"]


def test_quotes_of_one_column_stay_as_they_are() -> None:
    assert rows_of(["so", '"good, really"', "fine"], width=1)[1] == [["so"], ["good, really"], ["fine"]]


def test_lines_that_are_rows_depend_on_known_labels() -> None:
    dialect = Dialect(",", 2, names={1: frozenset(LABELS)})
    assert dialect.is_row("well, so,sad") is False
    assert dialect.is_row("so,sad") is True
    assert dialect.is_row("so, really") is False


def test_broken_rows_are_counted_at_once(tmp_path: Path) -> None:
    lines = lines_with({})
    for number in (3, 9, 27):
        lines[number] += ",x"
    content = "\n".join(["text,label", *lines, ""]).encode()
    with pytest.raises(PipelineError, match=r"a\.csv has 3 broken of 60 rows: 4, 10, 28; .* ingest\.max_broken"):
        read(tmp_path, "a.csv", content)
    reading = Reading(max_broken=0.05)
    table = formats.read(tmp_path / "a.csv", ["text", "label"], reading=reading)
    assert (len(table), reading.skipped) == (57, {"broken": [4, 10, 28]})
    assert table.index[3] == 5  # numbers of rows are those of the file


def test_row_without_a_column_that_nobody_wants_is_whole(tmp_path: Path) -> None:
    table = read(tmp_path, "a.csv", b"text,label,note,more\na,b,c,d\nc,d\ne,f,,,\n")
    assert table["label"].tolist() == ["b", "d", "f"]


def test_blank_rows_and_repeated_headers_are_skipped(tmp_path: Path) -> None:
    content = b"sep=;\ntext;label\na;b\n;\n\n ; \ntext;label\n;c\nlabel;text\n"
    reading = Reading()
    (tmp_path / "a.csv").write_bytes(content)
    table = formats.read(tmp_path / "a.csv", ["text", "label"], reading=reading)
    assert table.to_numpy().tolist() == [["a", "b"], ["", "c"], ["label", "text"]]
    assert reading.skipped == {"blank": [2, 3], "repeated header": [4]}
    assert reading.dialect == "semicolon; cells may be quoted"


def test_plain_file_is_read_as_it_is(tmp_path: Path) -> None:
    reading = Reading()
    content = b'text,label\n"a, ""b""",x\n5" nail,y\n"two\nlines",x\n'
    (tmp_path / "a.csv").write_bytes(content)
    table = formats.read(tmp_path / "a.csv", ["text", "label"], reading=reading)
    assert table["text"].tolist() == ['a, "b"', '5" nail', "two\nlines"]
    assert (reading.changed, reading.skipped) == ({}, {})


def test_lines_that_look_like_rows_stay_in_texts_with_line_breaks() -> None:
    texts = {i: f'"first {i}\nsecond {i}"' for i in range(0, 60, 2)} | {
        7: '"so,sad\nfine"',
        9: '"so ""good"",sad\nfine"',
    }
    lines = "\n".join(lines_with(texts)).split("\n")
    _, rows, notes = rows_of(lines)
    assert (len(rows), notes) == (60, [])
    assert rows[7] == ["so,sad\nfine", "glad"]


def test_doubled_quotes_are_meant() -> None:
    lines = "\n".join(lines_with({7: '"so ""good"",sad\nfine"'})).split("\n")
    assert rows_of(lines)[1][7] == ['so "good",sad\nfine', "glad"]


def test_stray_quotes_in_the_only_known_cell_are_no_row() -> None:
    assert Dialect(",", 2, names={1: frozenset(LABELS)}).is_row('so,"sad') is False


def test_quoted_header_means_that_quotes_quote() -> None:
    lines = lines_with({5: '"open', 20: '"again'})
    assert choose_dialect(lambda: lines, ",", 2, header="text,label")[0].quoting == "text"
    assert choose_dialect(lambda: lines, ",", 2, header='"text","label"')[0].quoting != "text"


def test_cells_of_one_line() -> None:
    assert Dialect(",", 2, "text").split('"a,b"') == ['"a', 'b"']
    assert Dialect(",", 2).split('"a",') == ["a", ""]
    assert Dialect(" ", 3, "spaced").split('a  "b c"') == ["a", "", "b c"]


def test_space_before_a_quote_matters_only_where_quotes_follow_spaces() -> None:
    assert Dialect(",", 2).closed('a, "b') is True
    assert Dialect(",", 2, "spaced").closed('a, "b') is False
    assert Dialect(",", 2).is_plain(['a,"b"', "c,d"]) is True
    assert Dialect(",", 2).is_plain(['a, "b"']) is False


def test_open_quotes() -> None:
    dialect = Dialect(",", 2)
    assert [dialect.opens(line) for line in ('a,"b', 'a,"b"', '"a" b,c', "a,b")] == [True, False, False, False]
    assert [dialect.stays_open(line) for line in ("in the middle", 'end",sad', 'end","again', 'x"y,"z')] == [
        True,
        False,
        True,
        False,
    ]


def test_rows_by_their_width_and_all_known_columns() -> None:
    assert Dialect(",", 3).is_row("a,b,c") is True
    assert Dialect(",", 2).is_row("a,b") is False
    assert Dialect("\t", 2).is_row("a\tb") is True
    dialect = Dialect(",", 3, names={1: frozenset(LABELS), 2: frozenset("xy")})
    assert [dialect.is_row(line) for line in ("a,sad,x", "a,sad,z", 'a,sad,"x', 'a,sad,"z"')] == [
        True,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("line", "known", "cells", "note"),
    [
        ("", True, [""], ""),
        ('"so,sad', True, ['"so', "sad"], "stray quotes"),
        ('"so" good,"odd"', True, ["so good", "odd"], "unescaped quotes"),
        ('"so" good,"odd"', False, ['"so" good', '"odd"'], "stray quotes"),
        ('"a, b" c,sad', True, ["a, b c", "sad"], "unescaped quotes"),
        ('"a, b" c,sad"', True, ['"a', ' b" c', 'sad"'], "broken"),
        ('"a" b,c,d', True, ['"a" b', "c", "d"], "broken"),
        ('"a" b,odd"', True, ['"a" b', 'odd"'], "stray quotes"),
    ],
)
def test_line_that_no_quoting_explains(line: str, known: bool, cells: list[str], note: str) -> None:
    names = {1: frozenset(LABELS)} if known else None
    assert [*records([line], Dialect(",", 2, names=names))] == [(cells, note)]


def test_quoted_header_leaves_the_other_quotings() -> None:
    lines = [f'{LABELS[i % 3]}, "text {i}, and more"' for i in range(30)]
    assert choose_dialect(lambda: lines, ",", 2, header='"label","text"')[0].quoting == "spaced"


def names_of(labels: list[str]) -> dict[int, frozenset[str]]:
    dialect, _ = choose_dialect(lambda: [f"text {number},{label}" for number, label in enumerate(labels)], ",", 2)
    assert dialect.line_breaks is False
    return dict(dialect.names or {})


def test_columns_of_few_values() -> None:
    assert names_of(["sad"] * 6) == {1: {"sad"}}
    assert names_of(["sad"] * 5) == {}
    assert names_of(["sad"] * 9 + ["odd"]) == {}
    assert names_of(["sad"] * 19 + ["odd"]) == {1: {"sad"}}
    assert names_of(["sad", "glad", "calm"] * 3 + ["sad"]) == {}  # three values in ten rows are not few
    assert names_of(["sad", ""] * 9) == {1: {"sad"}}
    assert names_of([""] * 9) == {1: {""}}
    assert names_of(["x" * 100] * 9) == {1: {"x" * 100}}
    assert names_of(["x" * 101] * 9) == {}


def test_cells_beyond_the_header(tmp_path: Path) -> None:
    reading = Reading()
    (tmp_path / "a.csv").write_bytes(b'text,label\n"open,sad\na,sad\nb,sad,\n' + b"c,sad\n" * 9)
    assert len(formats.read(tmp_path / "a.csv", ["text", "label"], reading=reading)) == 12
    assert reading.changed == {"rows with empty cells beyond the header": 1}


def test_quotes_of_the_header_reach_the_choice(tmp_path: Path) -> None:
    body = "\n".join(lines_with({5: '"open', 20: '"again'}))
    dialects = []
    for header in ("text,label", '"text","label"'):
        reading = Reading()
        (tmp_path / "a.csv").write_text(f"{header}\n{body}\n")
        formats.read(tmp_path / "a.csv", ["text", "label"], reading=reading)
        dialects.append(reading.dialect)
    assert dialects == ["comma; quotes are characters", "comma; cells may be quoted"]


def test_delimiter_that_excel_names(tmp_path: Path) -> None:
    assert rows(read(tmp_path, "a.csv", b"sep=;\na;b,c,d\ne;f,g,h\n", [1, 2])) == [("a", "b,c,d"), ("e", "f,g,h")]
    assert rows(read(tmp_path, "a.csv", b"sep=;\ntext,label\na,b\n", delimiter=",")) == [("a", "b")]
    assert rows(read(tmp_path, "a.csv", b"sep=\ntext|label\na|b\n")) == [("a", "b")]
    assert choose_delimiter("a,b,c;text\n", ["a,b,c", "text"], ["more"])[0] == ";"


def test_stream_accepts_empty_cells_beyond_the_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"text,label\na,b,,\n")
    assert stream(tmp_path / "a.csv") == [("a", "b")]


def test_delimiter_of_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"sep=;\ntext,label\na,b\n")
    assert stream(path, delimiter=",") == [("a", "b")]
    path.write_bytes(b"sep=;\ntext;x,y,label\na;b\n")
    assert stream(path, ["text"]) == [("a",)]
    path.write_bytes(b"sep=;\na;b,c\nd;e,f\n")
    for delimiter, texts in ((None, ["a", "d"]), (",", ["a;b", "d;e"])):
        (_, cells), *_ = formats.open_stream(str(path), {"text": 1}, delimiter=delimiter).chunks(9)
        assert cells["text"] == texts
