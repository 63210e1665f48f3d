"""The page in a real browser: labels and words while one types, by keyboard, on a phone and in dark mode."""

import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.service import CLASSES, Client, FakeModel, enter_text, find, running_service, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed"),
]

# The lowest contrast between any visible text and its background (WCAG 2.2, 1.4.3).
CONTRAST = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
function luminance(colours) {  // of layers, from back to front
  canvas.clearRect(0, 0, 1, 1);
  for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
  const linear = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => {
    value /= 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}
let lowest = [99, ""];
for (const element of document.querySelectorAll("body *")) {
  const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!(hasText || element.tagName === "TEXTAREA") || !element.checkVisibility()) continue;
  if (element.closest(".hidden, noscript")) continue;
  const behind = [];
  for (let layer = element; layer; layer = layer.parentElement) {
    behind.unshift(getComputedStyle(layer).backgroundColor);
  }
  const front = [...behind, getComputedStyle(element).color];
  const [light, dark] = [luminance(behind), luminance(front)].sort((x, y) => y - x);
  const ratio = (light + 0.05) / (dark + 0.05);
  if (ratio < lowest[0]) lowest = [ratio, element.outerHTML.slice(0, 80)];
}
return lowest;
"""


class WordModel(FakeModel):
    """Explains by words: those of an even length raise the score of the first class, and lower the others."""

    def explain(self, text: str) -> Any:
        fields = super().explain(text).to_dict()
        words = []
        for match in re.finditer(r"\S+", text):
            adds = len(match[0]) * (1 if len(match[0]) % 2 == 0 else -1)
            by_class = dict(zip(CLASSES, (adds, -adds / 2, -adds / 2), strict=True))
            words.append({"word": match[0], "span": list(match.span()), "source": None, "adds": by_class})
        return SimpleNamespace(to_dict=lambda: fields | {"words": words})


@pytest.fixture(scope="module")
def model() -> WordModel:
    return WordModel()


@pytest.fixture(scope="module")
def client(model: WordModel) -> Iterator[Client]:
    with running_service(model, max_length=500, threads=2) as client:
        yield client


@pytest.fixture
def page(browser: Any, client: Client) -> Any:
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get(f"http://127.0.0.1:{client.port}/")
    browser.get_log("browser")
    return browser


def marks(page: Any) -> dict[str, str]:
    """Return the coloured words and whether they are for or against the chosen class."""
    return {mark.text: mark.get_attribute("class") for mark in page.find_elements("css selector", "#words mark")}


def test_label_bars_and_words_appear_while_typing(page: Any) -> None:
    find(page, "#text").send_keys("so odd four")
    wait_until(lambda: find(page, "#label").text == "angry 50.0 %")
    assert [bar.text.split("\n") for bar in page.find_elements("css selector", "#bars li")] == [
        ["angry", "50.0 %"],
        ["sad", "25.0 %"],
        ["glad", "25.0 %"],
    ]
    assert find(page, "#words").text == "so odd four"
    assert marks(page) == {"so": "against", "odd": "for", "four": "against"}
    find(page, "#class").send_keys("sad")
    assert marks(page) == {"so": "for", "odd": "against", "four": "for"}
    find(page, "summary").click()
    rows = [row.text for row in page.find_elements("css selector", "#word-rows tr")]
    assert rows == ["four +4.00", "odd −3.00", "so +2.00"]
    find(page, "#text").clear()
    find(page, "#text").send_keys(" ")
    wait_until(lambda: not find(page, "#result").is_displayed())


def test_screen_reader_gets_the_result_and_names(page: Any) -> None:
    announcement = find(page, "#announcement")
    assert announcement.get_attribute("aria-live") == "polite"
    find(page, "#text").send_keys("a five words odd now")
    expected = "angry, 50.0\u00a0%. Strongest words: words, odd, now"
    wait_until(lambda: announcement.get_property("textContent") == expected)
    assert find(page, "#text").accessible_name == "Your text"
    assert find(page, "#class").accessible_name.startswith("and their effect on")
    assert find(page, "#result").accessible_name.startswith("angry")
    assert find(page, "html").get_attribute("lang") == "en"


def test_text_without_a_known_word_has_a_warning(page: Any) -> None:
    warning = find(page, "#unknown")
    enter_text(page, "?!")
    wait_until(warning.is_displayed)
    assert warning.text.startswith("No word of this text occurs in the training texts")
    announcement = find(page, "#announcement").get_property("textContent")
    assert announcement.startswith("angry, 50.0\u00a0%, but no word is known")
    enter_text(page, "known")
    wait_until(lambda: not warning.is_displayed())
    find(page, "input[value=many]").click()
    enter_text(page, "known\n?!")
    cells = "#lines tbody td:nth-child(2)"
    wait_until(lambda: len(page.find_elements("css selector", cells)) == 2)
    assert [cell.text.split("\n") for cell in page.find_elements("css selector", cells)] == [
        ["angry"],
        ["angry", "no known word"],
    ]


def test_header_describes_the_model(page: Any) -> None:
    expected = "moods version 1 · 3 classes · English · macro-F1 0.500 on the test set"
    assert wait_until(lambda: find(page, "#model").text == expected)


def test_newer_text_replaces_an_older_answer(page: Any, model: WordModel) -> None:
    model.may_answer.clear()
    model.calls.clear()
    find(page, "#text").send_keys("a")
    wait_until(lambda: model.calls)
    find(page, "#text").send_keys("b")
    wait_until(lambda: len(model.calls) > 1)
    model.may_answer.set()
    wait_until(lambda: find(page, "#words").text == "ab")
    time.sleep(0.3)
    assert find(page, "#words").text == "ab"
    assert find(page, "#label").text.startswith("angry")


def test_lines_can_be_used_by_keyboard_only(page: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(*keys: str) -> None:
        ActionChains(page).send_keys(*keys).perform()

    press(Keys.TAB, "one", Keys.ENTER, Keys.ENTER, "three more")
    wait_until(lambda: find(page, "#result").is_displayed())
    press(Keys.TAB, Keys.ARROW_RIGHT)
    wait_until(lambda: find(page, "#lines").is_displayed())
    rows = [row.text for row in page.find_elements("css selector", "#lines tbody tr")]
    assert rows == ["one sad 50.0 %", "three more glad 50.0 %"]
    assert find(page, "#lines-title").text == "2 texts: 1 sad, 1 glad"
    assert not find(page, "#result").is_displayed()
    while page.switch_to.active_element.text != "three more":
        press(Keys.TAB)
        assert page.switch_to.active_element.tag_name != "body"
    outline = page.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    press(Keys.ENTER)
    wait_until(lambda: find(page, "#words").is_displayed() and find(page, "#words").text == "three more")
    assert page.switch_to.active_element.get_attribute("aria-pressed") == "true"


def assert_readable(page: Any, width: int) -> None:
    """Assert that nothing is wider than the screen, and that all texts have enough contrast."""
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    lowest, where = page.execute_script(CONTRAST)
    assert lowest >= 4.5, where


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_page_is_readable_on_a_phone_and_in_dark_mode(page: Any, scheme: str, width: int) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    enter_text(page, f"even words are odd at {'x' * 99} times\n\nand lines go on, on and on")
    wait_until(lambda: find(page, "#words").is_displayed())
    find(page, "summary").click()
    assert_readable(page, width)
    find(page, "input[value=many]").click()
    wait_until(lambda: find(page, "#lines").is_displayed())
    assert_readable(page, width)
    enter_text(page, "x" * 501)
    wait_until(lambda: find(page, "#problem").text)
    assert_readable(page, width)


def test_error_is_shown_until_it_is_corrected(page: Any) -> None:
    enter_text(page, "x" * 501)
    problem = find(page, "#problem")
    wait_until(lambda: problem.get_property("textContent") == "text must have at most 500 characters")
    assert problem.get_attribute("role") == "alert"
    assert problem.is_displayed()
    assert not find(page, "#result").is_displayed()
    enter_text(page, "fine")
    wait_until(lambda: find(page, "#label").text.startswith("glad"))
    assert not problem.text
    assert not problem.is_displayed()


def test_markup_is_shown_as_text_and_emoji_keep_their_place(page: Any) -> None:
    text = "😀😀 <img src=x onerror=document.title='mine'> of 👍🏽 even"
    enter_text(page, text)
    wait_until(lambda: find(page, "#words").is_displayed() and find(page, "#words").text == text)
    assert list(marks(page))[:2] == ["😀😀", "<img"]
    assert page.title == "Emotion recognition from text"


def test_page_loads_from_the_service_only_and_logs_no_errors(page: Any, client: Client) -> None:
    page.get_log("performance")
    page.refresh()
    enter_text(page, "four")
    wait_until(lambda: find(page, "#label").text.startswith("glad"))
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    origin = f"http://127.0.0.1:{client.port}/"
    assert {url.removeprefix(origin) for url in urls} >= {"", "page.js", "page.css", "model", "explain"}
    assert all(url.startswith(origin) for url in urls)
    assert page.get_log("browser") == []


class OddClassModel(WordModel):
    """Has class names with a special meaning in HTML or JavaScript."""

    classes = ("very  good", "constructor", "\u05e2\u05e6\u05d5\u05d1")

    def explain(self, text: str) -> Any:
        fields = super().explain(text).to_dict()
        names = dict(zip(CLASSES, self.classes, strict=True))
        for key in ("probabilities", "scores", "baseline"):
            fields[key] = {names[name]: value for name, value in fields[key].items()}
        fields["predicted_label"] = names[fields["predicted_label"]]
        for word in fields["words"]:
            word["adds"] = {names[name]: value for name, value in word["adds"].items()}
        return SimpleNamespace(to_dict=lambda: fields)


def test_odd_class_names_are_shown_as_they_are(browser: Any) -> None:
    with running_service(OddClassModel(), max_length=500) as client:
        browser.get(f"http://127.0.0.1:{client.port}/")
        enter_text(browser, "odd")  # three letters: the first class
        wait_until(lambda: find(browser, "#words").text == "odd")
        assert find(browser, "#class").get_attribute("value") == "very  good"
        assert find(browser, "#problem").text == ""
        find(browser, "input[value=many]").click()
        enter_text(browser, "four")
        wait_until(lambda: find(browser, "#lines-title").text == "1 text: 1 constructor")


def test_right_to_left_text_runs_from_right_to_left(page: Any) -> None:
    enter_text(page, "\u05e9\u05dc\u05d5\u05dd, ok")
    wait_until(lambda: find(page, "#words").text)
    directions = [find(page, selector).value_of_css_property("direction") for selector in ("#text", "#words")]
    assert directions == ["rtl", "rtl"]


def test_label_stays_while_explanations_have_no_room(browser: Any) -> None:
    model, explainer = WordModel(), WordModel()
    with running_service(model, explainer, max_explanations=1) as client:
        explainer.may_answer.clear()
        others = [threading.Thread(target=client.post, args=("/explain", {"text": "x"})) for _ in range(2)]
        for thread in others:
            thread.start()
            wait_until(lambda: explainer.calls)
        browser.get(f"http://127.0.0.1:{client.port}/")
        enter_text(browser, "odd")
        wait_until(lambda: find(browser, "#label").text == "sad 50.0 %")
        wait_until(lambda: find(browser, "#words").text == "The service is busy; the words will follow.")
        time.sleep(1.5)
        assert find(browser, "#label").text == "sad 50.0 %"
        explainer.may_answer.set()
        wait_until(lambda: find(browser, "#words").text == "odd")
        for thread in others:
            thread.join()
