"""Perturbations: their exact results, and the texts that they do not apply to."""

import pytest

from pipeline.evaluation.text.perturbations import Perturbation, draw, of_language
from pipeline.text.cleaning import clean_text

ENGLISH, CHINESE, GERMAN = of_language("en"), of_language("zh"), of_language("de")


def perturbed(perturb: Perturbation, text: str) -> str | None:
    """The second version; None if the perturbation does not apply."""
    versions = perturb(text, "row")
    assert not versions or versions[0].text == text
    return versions[1].text if versions else None


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("typos", "a word", "a wrod"),
        ("typos", "a [url] too", None),
        ("typos", "aaaa 12345", None),
        ("case", "i said so [user]", "I SAID SO [USER]"),
        ("case", "123 !", None),
        ("case", "eine straße", None),
        ("markup", "so it is", "<p>so  \nit  \nis</p><br />"),
        ("full_stop", "so it is.", "so it is"),
        ("full_stop", "so it is", "so it is."),
        ("full_stop", "so it is...", None),
        ("full_stop", "so it is!", None),
        ("symbol", "so it is", "so it is 📎"),
        ("gender", "he told his wife", None),  # both genders
        ("gender", "he hurt himself, it is his fault, not his", "she hurt herself, it is her fault, not hers"),
        ("gender", "he's here, ask him", "she's here, ask her"),
        ("gender", "she lost her bag", "he lost his bag"),
        ("gender", "they told her to wait", "they told him to wait"),
        ("gender", "they told her. hers is gone", "they told him. his is gone"),
        ("gender", "the other theme", None),
    ],
)
def test_english_perturbations(name: str, text: str, expected: str | None) -> None:
    assert perturbed(ENGLISH[name], text) == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("typos", "好!", "好好!"),
        ("typos", "12!", None),
        ("case", "很好", None),
        ("full_stop", "很好。", "很好"),
        ("full_stop", "很好", "很好。"),
        ("punctuation_width", "很好，真的!（3.5）。", "很好,真的！(3.5)."),
        ("punctuation_width", "很好", None),
        ("spacing", "用了3天的usb线", "用了 3 天的 usb 线"),
        ("spacing", "用了三天", None),
        ("gender", "他们说先生很好", "她们说女士很好"),
        ("gender", "妈妈很喜欢", "爸爸很喜欢"),
        ("gender", "其他的吉他", None),
        ("gender", "他和她", None),
    ],
)
def test_chinese_perturbations(name: str, text: str, expected: str | None) -> None:
    assert perturbed(CHINESE[name], text) == expected


def test_cleaning_reverts_case_and_markup() -> None:
    text = "so [user] said: i <3 it & more..."
    for name in ("case", "markup"):
        assert [clean_text(version.text) for version in ENGLISH[name](text, "row")] == [text, text], name


def test_each_group_signs_once() -> None:
    versions = ENGLISH["names"]("so it is", "row")
    assert len({version.text for version in versions}) == len(versions) == 12
    assert all(version.text.startswith("so it is - ") for version in versions)
    assert [dict(version.groups) for version in versions[:3]] == [
        {"origin": "English", "gender": "female"},
        {"origin": "English", "gender": "male"},
        {"origin": "African American", "gender": "female"},
    ]
    assert all(version.text.startswith("很好——") for version in CHINESE["names"]("很好", "row"))
    groups = [version.groups["gender"] for version in ENGLISH["gender"]("she lost it", "row")]
    assert groups == ["female", "male"]


def test_perturbations_of_other_languages() -> None:
    assert list(GERMAN) == ["typos", "case", "markup", "full_stop", "symbol"]
    assert perturbed(of_language("ja")["typos"], "ね!") == "ねね!"


def test_draw_depends_on_the_row() -> None:
    drawn = [draw(f"row {i}", "typos", 3) for i in range(50)]
    assert drawn == [draw(f"row {i}", "typos", 3) for i in range(50)]
    assert set(drawn) == {0, 1, 2}
    text = "several words to choose from"
    assert len({ENGLISH["typos"](text, f"row {i}")[1].text for i in range(50)}) > 5


def test_names_of_a_group_vary_by_row() -> None:
    signed = {ENGLISH["names"]("so it is", f"row {number}")[0].text for number in range(50)}
    assert signed == {f"so it is - {name}" for name in ("melanie", "katie", "ellen", "heather")}
