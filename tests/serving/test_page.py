"""The page in a real browser: what one types is labelled and coloured, by keyboard too, on a phone, in the dark."""

import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.service import CLASSES, Counting, Service, find, service, until, write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium is installed"),
]

# The lowest contrast of any text that is shown with what lies behind it (WCAG 2.2, 1.4.3).
CONTRAST = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
function over(colours) {  // from behind to before
  canvas.clearRect(0, 0, 1, 1);
  for (const each of colours) { canvas.fillStyle = each; canvas.fillRect(0, 0, 1, 1); }
  const linear = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => {
    value /= 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}
let lowest = [99, ""];
for (const each of document.querySelectorAll("body *")) {
  const own = [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!(own || each.tagName === "TEXTAREA") || !each.checkVisibility() || each.closest(".hidden, noscript")) continue;
  const behind = [];
  for (let at = each; at; at = at.parentElement) behind.unshift(getComputedStyle(at).backgroundColor);
  const [a, b] = [over(behind), over([...behind, getComputedStyle(each).color])].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < lowest[0]) lowest = [ratio, each.outerHTML.slice(0, 80)];
}
return lowest;
"""


class Reading(Counting):
    """Explains by words: the first class is for words of an even length, and against the others."""

    def explain(self, text: str) -> Any:
        said = super().explain(text).to_dict()
        words = []
        for found in re.finditer(r"\S+", text):
            adds = len(found[0]) * (1 if len(found[0]) % 2 == 0 else -1)
            each = dict(zip(CLASSES, (adds, -adds / 2, -adds / 2), strict=True))
            words.append({"word": found[0], "span": list(found.span()), "source": None, "adds": each})
        return SimpleNamespace(to_dict=lambda: said | {"words": words})


@pytest.fixture(scope="module")
def model() -> Reading:
    return Reading()


@pytest.fixture(scope="module")
def running(model: Reading) -> Iterator[Service]:
    with service(model, max_length=500, threads=2) as found:
        yield found


@pytest.fixture
def page(browser: Any, running: Service) -> Any:
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get(f"http://127.0.0.1:{running.port}/")
    browser.get_log("browser")
    return browser


def test_label_confidence_and_words_come_as_one_types(page: Any) -> None:
    find(page, "#text").send_keys("so odd four")
    until(lambda: find(page, "#label").text == "angry 50.0 %")
    assert [bar.text.split("\n") for bar in page.find_elements("css selector", "#bars li")] == [
        ["angry", "50.0 %"],
        ["sad", "25.0 %"],
        ["glad", "25.0 %"],
    ]
    assert find(page, "#words").text == "so odd four"
    marks = {mark.text: mark.get_attribute("class") for mark in page.find_elements("css selector", "#words mark")}
    assert marks == {"so": "against", "odd": "for", "four": "against"}
    find(page, "#class").send_keys("sad")
    marks = {mark.text: mark.get_attribute("class") for mark in page.find_elements("css selector", "#words mark")}
    assert marks == {"so": "for", "odd": "against", "four": "for"}
    find(page, "summary").click()
    rows = [row.text for row in page.find_elements("css selector", "#word-rows tr")]
    assert rows == ["four 4.00", "odd −3.00", "so 2.00"]
    find(page, "#text").clear()
    find(page, "#text").send_keys(" ")
    until(lambda: not find(page, "#result").is_displayed())


def test_a_screen_reader_is_told(page: Any) -> None:
    said = find(page, "#said")
    assert said.get_attribute("aria-live") == "polite"
    find(page, "#text").send_keys("a five words odd now")
    until(lambda: said.get_property("textContent") == "angry, 50.0\u00a0%. Most telling: words, odd, now")
    assert find(page, "#text").accessible_name == "Your text"
    assert find(page, "#class").accessible_name.startswith("that speak for")
    assert find(page, "#result").accessible_name.startswith("angry")
    assert find(page, "html").get_attribute("lang") == "en"


def test_a_newer_text_makes_an_older_answer_void(page: Any, model: Reading) -> None:
    model.let.clear()
    del model.calls[:]
    find(page, "#text").send_keys("a")
    until(lambda: model.calls)
    find(page, "#text").send_keys("b")
    until(lambda: len(model.calls) > 1)
    model.let.set()
    until(lambda: find(page, "#words").text == "ab")
    time.sleep(0.3)
    assert find(page, "#words").text == "ab"
    assert find(page, "#label").text.startswith("angry")


def test_several_lines_by_keyboard_alone(page: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(*keys: str) -> None:
        ActionChains(page).send_keys(*keys).perform()

    press(Keys.TAB, "one", Keys.ENTER, Keys.ENTER, "three more")
    until(lambda: find(page, "#result").is_displayed())
    press(Keys.TAB, Keys.ARROW_RIGHT)
    until(lambda: find(page, "#lines").is_displayed())
    rows = [row.text for row in page.find_elements("css selector", "#lines tbody tr")]
    assert rows == ["one sad 50.0 %", "three more glad 50.0 %"]
    assert find(page, "#lines-title").text == "2 in all: 1 sad, 1 glad"
    assert not find(page, "#result").is_displayed()
    while page.switch_to.active_element.text != "three more":
        press(Keys.TAB)
        assert page.switch_to.active_element.tag_name != "body"
    outline = page.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    press(Keys.ENTER)
    until(lambda: find(page, "#words").is_displayed() and find(page, "#words").text == "three more")
    assert page.switch_to.active_element.get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_on_a_phone_and_in_the_dark(page: Any, scheme: str, width: int) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    write(page, f"even words are odd at {'x' * 99} times\n\nand lines go on, on and on")
    until(lambda: find(page, "#words").is_displayed())
    find(page, "summary").click()
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    lowest, where = page.execute_script(CONTRAST)
    assert lowest >= 4.5, where
    find(page, "input[value=many]").click()
    until(lambda: find(page, "#lines").is_displayed())
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    lowest, where = page.execute_script(CONTRAST)
    assert lowest >= 4.5, where
    write(page, "x" * 501)
    until(lambda: find(page, "#problem").text)
    lowest, where = page.execute_script(CONTRAST)
    assert lowest >= 4.5, where


def test_what_is_wrong_is_said_and_goes_away(page: Any) -> None:
    write(page, "x" * 501)
    until(lambda: find(page, "#problem").text == "text must have at most 500 characters")
    assert find(page, "#problem").get_attribute("role") == "alert"
    assert not find(page, "#result").is_displayed()
    write(page, "fine")
    until(lambda: find(page, "#label").text.startswith("glad"))
    assert not find(page, "#problem").text


def test_a_text_is_no_markup_and_emoji_keep_their_place(page: Any) -> None:
    text = "😀😀 <img src=x onerror=document.title='mine'> of 👍🏽 even"
    write(page, text)
    until(lambda: find(page, "#words").is_displayed() and find(page, "#words").text == text)
    assert [mark.text for mark in page.find_elements("css selector", "#words mark")][:2] == ["😀😀", "<img"]
    assert page.title == "Emotion recognition from text"


def test_nothing_is_loaded_from_elsewhere_and_nothing_complains(page: Any, running: Service) -> None:
    page.get_log("performance")
    page.refresh()
    write(page, "four")
    until(lambda: find(page, "#label").text.startswith("glad"))
    sent = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    addresses = [each["params"]["request"]["url"] for each in sent if each["method"] == "Network.requestWillBeSent"]
    origin = f"http://127.0.0.1:{running.port}/"
    assert {address.removeprefix(origin) for address in addresses} >= {"", "page.js", "page.css", "model", "explain"}
    assert all(address.startswith(origin) for address in addresses)
    assert page.get_log("browser") == []


class Odd(Reading):
    """Has class names that HTML and JavaScript take for something else."""

    classes = ("very  good", "constructor", "\u05e2\u05e6\u05d5\u05d1")

    def probabilities(self, texts: Any) -> Any:
        return super().probabilities(texts)

    def explain(self, text: str) -> Any:
        said = super().explain(text).to_dict()
        names = dict(zip(CLASSES, self.classes, strict=True))
        for key in ("probabilities", "scores", "baseline"):
            said[key] = {names[name]: value for name, value in said[key].items()}
        said["predicted_label"] = names[said["predicted_label"]]
        words = [each | {"adds": {names[k]: v for k, v in each["adds"].items()}} for each in said["words"]]
        return SimpleNamespace(to_dict=lambda: said | {"words": words})


def test_odd_class_names_are_names(browser: Any) -> None:
    with service(Odd(), max_length=500) as running:
        browser.get(f"http://127.0.0.1:{running.port}/")
        write(browser, "odd")  # of three letters: the first class
        until(lambda: find(browser, "#words").text == "odd")
        assert find(browser, "#class").get_attribute("value") == "very  good"
        assert find(browser, "#problem").text == ""
        find(browser, "input[value=many]").click()
        write(browser, "four")
        until(lambda: find(browser, "#lines-title").text == "1 in all: 1 constructor")


def test_right_to_left_text_runs_from_right_to_left(page: Any) -> None:
    write(page, "\u05e9\u05dc\u05d5\u05dd, ok")
    until(lambda: find(page, "#words").text)
    directions = [find(page, each).value_of_css_property("direction") for each in ("#text", "#words")]
    assert directions == ["rtl", "rtl"]


def test_the_label_stays_where_explanations_have_no_room(browser: Any) -> None:
    model, explainer = Reading(), Reading()
    with service(model, explainer, max_explanations=1) as running:
        explainer.let.clear()
        others = [threading.Thread(target=running.post, args=("/explain", {"text": "x"})) for _ in range(2)]
        for each in others:
            each.start()
            until(lambda: explainer.calls)
        browser.get(f"http://127.0.0.1:{running.port}/")
        write(browser, "odd")
        until(lambda: find(browser, "#label").text == "sad 50.0 %")
        until(lambda: find(browser, "#words").text == "The words follow as soon as there is room.")
        time.sleep(1.5)
        assert find(browser, "#label").text == "sad 50.0 %"
        explainer.let.set()
        until(lambda: find(browser, "#words").text == "odd")
        for each in others:
            each.join()
