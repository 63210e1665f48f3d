"""A running service around a fake model, a client of it, and the page in a browser."""

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from pipeline.inference.predictor import Answers
from pipeline.serving import app, routes
from pipeline.serving.champion import LiveChampion, LoadedModel
from pipeline.serving.metrics import Monitor

JSON = {"content-type": "application/json"}

CLASSES = ("sad", "glad", "angry")


class FakeModel:
    """Predicts the class whose number is the text's length modulo 3.

    It fails on texts with "fail", and does not answer while `may_answer` is cleared.
    """

    classes = CLASSES

    def __init__(self) -> None:
        self.calls: list[int] = []  # number of texts
        self.may_answer = threading.Event()
        self.may_answer.set()

    def answers(self, texts: Sequence[str]) -> Answers:
        self.calls.append(len(texts))
        assert self.may_answer.wait(30)
        if any("fail" in text for text in texts):
            raise ValueError(f"cannot read {texts}")
        rows = np.full((len(texts), 3), 0.25)
        rows[np.arange(len(texts)), [len(text) % 3 for text in texts]] = 0.5
        words = [len(re.findall(r"\w+", text)) for text in texts]
        return Answers(rows, np.array(words), np.array([not text.strip() for text in texts]))

    def explain(self, text: str) -> Any:
        probabilities = dict(zip(CLASSES, self.answers([text]).probabilities[0].tolist(), strict=True))
        label = max(probabilities, key=probabilities.__getitem__)
        fields = {
            "text": text.strip(),
            "predicted_label": label,
            "confidence": probabilities[label],
            "probabilities": probabilities,
            "known_words": len(re.findall(r"\w+", text)),
            "scores": probabilities,
            "baseline": dict.fromkeys(probabilities, 0.0),
            "words": [{"word": text, "span": [0, len(text)], "source": None, "adds": probabilities}],
        }
        return SimpleNamespace(to_dict=lambda: fields)


def loaded_model(model: Any, version: str = "1", explainer: Any = None) -> LoadedModel:
    metrics = {"macro_f1": 0.5}
    return LoadedModel(model, explainer or model, "moods", version, state="s" * 64, language="en", figures=metrics)


class Client:
    """A client of a running service."""

    def __init__(self, port: int) -> None:
        self.port = port

    def request(self, method: str, path: str, body: Any = None, headers: Any = JSON) -> tuple[int, Any, dict[str, str]]:
        """Return the status, the content (parsed if it is JSON) and the headers of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            encoded = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, encoded, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        received = {key.lower(): value for key, value in response.getheaders()}
        is_json = received["content-type"] == "application/json"
        return response.status, json.loads(content) if is_json else content.decode(), received

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        return self.request("POST", path, body)[:2]

    def get(self, path: str) -> tuple[int, Any]:
        return self.request("GET", path)[:2]

    def counters(self) -> dict[str, float]:
        """Return the values of `/metrics` by name."""
        lines = [line.rpartition(" ") for line in self.get("/metrics")[1].splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    def send_raw(self, request: bytes) -> bytes:
        """Return all bytes of the answer to a request, which should say `Connection: close`."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            return b"".join(iter(lambda: connection.recv(4_096), b""))


@contextmanager
def threads_of(requests: list[Callable[[], Any]]) -> Iterator[list[Any]]:
    """Send requests at the same time; the list gets their answers, and is complete after the block."""
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda send=send: answers.append(send())) for send in requests]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        for thread in threads:
            thread.join()


@contextmanager
def running_service(model: Any, explainer: Any = None, **limits: Any) -> Iterator[Client]:
    """Run the service around a model; limits as in `app.Limits`."""
    monitor, chosen = Monitor(routes.PATHS), app.Limits(**limits)
    champion = LiveChampion(loaded_model(model, explainer=explainer), monitor)
    server = app.http_server(app.create_app(champion, monitor, chosen), chosen)
    bound = app.bind_socket("127.0.0.1", 0)
    port = bound.getsockname()[1]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    try:
        wait_until(lambda: listens(port))
        yield Client(port)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


def listens(port: int) -> bool:
    with socket.socket() as connection:
        return not connection.connect_ex(("127.0.0.1", port))


def wait_until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Return the value of a condition as soon as it is true; a busy machine is slow."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"the condition did not become true within {seconds:g} seconds")


def find(page: Any, selector: str) -> Any:
    """Return an element of the page in a browser."""
    return page.find_element("css selector", selector)


def enter_text(page: Any, text: str) -> None:
    """Enter a text in the page; a driver cannot type characters beyond the basic multilingual plane."""
    area = find(page, "#text")
    page.execute_script("arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input'))", area, text)
