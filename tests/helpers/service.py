"""Shared by the tests of the service: a model without a network, and the service around it, at a port of its own."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from pipeline.serving import app
from pipeline.serving.champion import Champion, Served
from pipeline.serving.metrics import Monitor

JSON = {"content-type": "application/json"}

CLASSES = ("sad", "glad", "angry")


class Counting:
    """The label is the text's length, by its remainder; waits where it is told to."""

    classes = CLASSES

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.let = threading.Event()
        self.let.set()

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        self.calls.append(len(texts))
        assert self.let.wait(30)
        if any("fail" in text for text in texts):
            raise ValueError(f"cannot read {texts}")
        rows = np.full((len(texts), 3), 0.25)
        rows[np.arange(len(texts)), [len(text) % 3 for text in texts]] = 0.5
        return rows

    def explain(self, text: str) -> Any:
        row = dict(zip(CLASSES, self.probabilities([text])[0].tolist(), strict=True))
        best = max(row, key=row.__getitem__)
        words = [{"word": text, "span": [0, len(text)], "source": None, "adds": row}]
        scores = {"scores": row, "baseline": dict.fromkeys(row, 0.0)}
        found = {"text": text, "predicted_label": best, "confidence": row[best], "probabilities": row, "words": words}
        return SimpleNamespace(to_dict=lambda: found | scores)


def served(model: Any, version: str = "1", explainer: Any = None) -> Served:
    return Served(model, explainer or model, "moods", version, state="s" * 64, language="en", figures={"macro_f1": 0.5})


class Service:
    """A client of a service that is running."""

    def __init__(self, port: int, champion: Champion) -> None:
        self.port, self.champion = port, champion

    def ask(self, method: str, path: str, body: Any = None, headers: Any = JSON) -> tuple[int, Any, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            found = answer.read()
        finally:
            connection.close()
        told = {key.lower(): value for key, value in answer.getheaders()}
        return answer.status, json.loads(found) if told["content-type"] == "application/json" else found.decode(), told

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        return self.ask("POST", path, body)[:2]

    def get(self, path: str) -> tuple[int, Any]:
        return self.ask("GET", path)[:2]


@contextmanager
def service(model: Any, explainer: Any = None, **limits: Any) -> Iterator[Service]:
    """The service around a model; limits as in `serve.Limits`."""
    monitor = Monitor(app.PATHS)
    champion, chosen = Champion(served(model, explainer=explainer), monitor), app.Limits(**limits)
    server = app.server(app.create_app(champion, monitor, chosen), chosen)
    place = app.listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
    thread.start()
    try:
        wait_for(place.getsockname()[1])
        yield Service(place.getsockname()[1], champion)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


def wait_for(port: int) -> None:
    """Until something listens."""

    def listens() -> bool:
        with socket.socket() as tried:
            return not tried.connect_ex(("127.0.0.1", port))

    until(listens)


def until(holds: Callable[[], Any], seconds: float = 60) -> Any:
    """What a condition gives as soon as it holds: machines at work are slow."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := holds():
            return found
        time.sleep(0.02)
    raise AssertionError(f"it did not come to that within {seconds:g} seconds")


def find(page: Any, selector: str) -> Any:
    """An element of a page in a browser."""
    return page.find_element("css selector", selector)


def write(page: Any, text: str) -> None:
    """Put a text where one types; a driver cannot type characters beyond the first plane."""
    area = find(page, "#text")
    page.execute_script("arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))", area, text)
