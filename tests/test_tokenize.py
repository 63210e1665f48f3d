"""The stage tokenize: the language, and the arrays of every split."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.project import set_params

from pipeline import tokenize
from pipeline.base import params, paths
from pipeline.base.files import write_json, write_table
from pipeline.text.languages import detect_language
from pipeline.text.processor import Tokenizer
from pipeline.tokenize import encode


def test_encode() -> None:
    rows = [("f" * 16, "good film", "pos"), ("0" * 16, "bad", "neg")]
    table = pd.DataFrame(rows, columns=["id", "text", "label"], dtype="str")
    arrays = encode(table, {"text": Tokenizer(("good", "bad"), 3)}, ["neg", "pos"])
    np.testing.assert_array_equal(arrays["ids"], [[2, 1, 0], [3, 0, 0]])
    np.testing.assert_array_equal(arrays["label"], [1, 0])
    assert list(arrays["row"]) == ["f" * 16, "0" * 16]
    assert (arrays["ids"].dtype, arrays["label"].dtype) == (np.int32, np.int32)


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("en", ["i love this film, [user] !", "what a waste of time", "not good at all"]),
        ("zh", ["很好 [url]", "太差了，再也不买", "没有说的那么好"]),
        ("de", ["das ist ein sehr schöner film", "leider gar nicht gut", "ich bin enttäuscht"]),
    ],
)
def test_language_is_detected(language: str, texts: list[str]) -> None:
    assert detect_language(pd.Series(texts * 900, dtype="str")) == language


def test_language_of_whole_table_without_placeholders() -> None:
    texts = ["what a waste of time"] * 1_000 + ["das ist leider gar nicht gut, ich bin sehr enttäuscht"] * 4_000
    assert detect_language(pd.Series(texts, dtype="str")) == "de"
    assert detect_language(pd.Series(["muy mal [url] [email] [user] [phone]"] * 3, dtype="str")) == "es"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ("zh", "chinese", 5)),
        ({"unit": "character"}, ("zh", "character", 8)),
        ({"language": "en"}, ("en", "word", 2)),
        ({"vocabulary_size": "100"}, ("zh", "chinese", 100)),
        ({"length": "5"}, ("zh", "chinese", 5)),
    ],
)
def test_stage_uses_its_parameters_and_train_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], expected: tuple[str, str, int]
) -> None:
    text = params.PARAMS_FILE.read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(set_params(text, changes), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    write_json(paths.CLEAN_CLASSES, ["x"])
    for split, path in paths.CLEAN_TABLES.items():
        texts = {"train": ["我不喜欢", "这个手机"] * 2, "validation": ["酒店"] * 9, "test": ["书"] * 9}[split]
        if "vocabulary_size" in changes:
            texts = [*texts, " ".join(f"w{number}" for number in range(200))]
        write_table(path, pd.DataFrame({"id": "f" * 16, "text": texts, "label": "x"}, dtype="str"))
    tokenize.main()
    tokenizer = Tokenizer.load(paths.TOKENIZE_TOKENIZER)
    assert (tokenizer.language, tokenizer.unit, len(tokenizer.vocabulary)) == expected
    assert tokenizer.length == int(changes.get("length", tokenizer.length))
    assert not {"酒店", "店", "书"} & set(tokenizer.vocabulary)
