"""The service with slow clients and slow answers: nobody waits for them, and nothing is lost."""

import json
import socket
import threading
import time
from contextlib import suppress
from typing import Any

import psutil
import pytest
from helpers.project import Project
from helpers.service import FakeModel, running_service, threads_of, wait_until

from pipeline.data import datasets
from pipeline.serving.champion import load_folder


def test_slow_answer_and_slow_body_time_out() -> None:
    model = FakeModel()
    with running_service(model, timeout=0.3, threads=1) as client:
        model.may_answer.clear()
        status, answer, headers = client.request("POST", "/predict", {"text": "a"})
        assert (status, headers["retry-after"]) == (503, "1")
        assert answer == {"error": "no answer within 0.3 seconds; send fewer texts or try again"}
        with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
            connection.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
            assert connection.recv(4_096).startswith(b"HTTP/1.1 408 ")
        model.may_answer.set()
        assert client.post("/predict", {"text": "a"})[0] == 200


def test_shutdown_finishes_requests_in_progress() -> None:
    model = FakeModel()
    answers: list[tuple[int, Any]] = []
    with running_service(model, threads=1) as client:
        model.may_answer.clear()
        thread = threading.Thread(target=lambda: answers.append(client.post("/predict", {"text": "a"})))
        thread.start()
        wait_until(lambda: model.calls)
        threading.Timer(0.3, model.may_answer.set).start()
    thread.join()
    assert [status for status, _ in answers] == [200]


def test_explanations_are_limited_and_do_not_delay_predictions() -> None:
    explainer = FakeModel()
    explainer.may_answer.clear()
    with running_service(FakeModel(), explainer, threads=1, max_explanations=3) as client:
        with threads_of([lambda: client.post("/explain", {"text": "a"})[0]] * 8) as statuses:
            try:
                wait_until(lambda: len(statuses) == 4 and client.counters()["serve_waiting_explanations"] == 3)
                for _ in range(20):
                    assert client.post("/predict", {"text": "a"})[0] == 200
                assert client.get("/ready")[0] == 200
            finally:
                explainer.may_answer.set()
        assert client.counters()["serve_explanation_seconds_count"] == 4
    assert statuses == [503] * 4 + [200] * 4
    assert explainer.calls == [1] * 4


@pytest.mark.slow  # a quarter of a minute
def test_64_long_explanations_leave_predictions_fast_and_memory_small(reference: Project) -> None:
    model = load_folder(reference.folder / "data/train/model")
    tweets = datasets.tweets()["text"].to_list()
    longest = [" ".join(tweets[start : start + 300])[:20_000] for start in range(0, 64 * 300, 300)]
    assert {len(text) for text in longest} == {20_000}
    statuses: list[int] = []
    with running_service(model.predictor, model.explainer) as client:
        explain = lambda text: statuses.append(client.post("/explain", {"text": text})[0])  # noqa: E731
        client.post("/explain", {"text": longest[0]})
        before, seconds = psutil.Process().memory_info().rss, []
        threads = [threading.Thread(target=explain, args=(text,)) for text in longest]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            started = time.perf_counter()
            assert client.post("/predict", {"text": tweets[len(seconds)]})[0] == 200
            seconds.append(time.perf_counter() - started)
        growth = psutil.Process().memory_info().rss - before
        assert client.post("/explain", {"text": "short again"})[0] == 200
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) > 0
    assert len(seconds) > 20
    assert sorted(seconds)[int(0.99 * len(seconds))] < 1  # with one queue for both: 10, and 503
    assert growth < 200_000_000


def closed_within(connection: socket.socket, seconds: float) -> bool:
    """Whether the service closes a connection within so many seconds."""
    connection.settimeout(seconds)
    try:
        return connection.recv(4_096) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize(
    ("answered", "unfinished"),
    [
        (b"", b""),
        (b"", b"POST /predict HTTP/1.1\r\nHost:"),
        (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /predict HTTP/1.1\r\nHost:"),
    ],
)
def test_connection_without_a_full_head_is_closed(answered: bytes, unfinished: bytes) -> None:
    with (
        running_service(FakeModel(), timeout=0.5) as client,
        socket.create_connection(("127.0.0.1", client.port)) as connection,
    ):
        if answered:
            connection.sendall(answered)
            wait_until(lambda: connection.recv(4_096).endswith(b'{"status":"ok"}'))
        connection.sendall(unfinished)
        assert closed_within(connection, 3)


def test_client_that_does_not_read_is_disconnected() -> None:
    with running_service(FakeModel(), timeout=0.5, max_body=10**7, max_texts=10**5, max_waiting=10**6) as client:
        body = json.dumps({"texts": ["x"] * 80_000}).encode()
        head = f"POST /predict/batch HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            slow.connect(("127.0.0.1", client.port))
            slow.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)

            def held() -> bool:  # the service's end, in this process too
                return slow.getsockname() in [connection.raddr for connection in psutil.Process().net_connections()]

            wait_until(held)
            wait_until(lambda: not held())
            slow.settimeout(5)
            received = 0
            with suppress(ConnectionResetError):
                while part := slow.recv(1 << 20):
                    received += len(part)
        assert received < 4_000_000  # of about 10 MB: the content of the system's buffers
        assert client.get("/health")[0] == 200
