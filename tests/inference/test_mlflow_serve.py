"""`mlflow models serve` with the registered model."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from helpers.project import Project, clean_environment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def port(reference: Project) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        "models:/tweets-lstm/1",
        "--env-manager",
        "local",
    ]
    environment = clean_environment() | {"MLFLOW_TRACKING_URI": f"sqlite:///{reference.folder}/mlflow.db"}
    with subprocess.Popen([*command, "--port", str(port)], env=environment, start_new_session=True) as process:
        try:
            for _ in range(1_500):
                with socket.socket() as attempt:
                    if not attempt.connect_ex(("127.0.0.1", port)):
                        break
                time.sleep(0.2)
            yield port
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def invoke(port: int, values: list[Any]) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    table = {"dataframe_split": {"columns": ["text"], "data": [[value] for value in values]}}
    connection.request("POST", "/invocations", json.dumps(table), {"content-type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_served_model_labels_texts(port: int) -> None:
    status, answer = invoke(port, ["I love it!", "worst flight ever"])
    assert status == 200
    assert [sorted(row) for row in answer["predictions"]] == [
        ["confidence", "known_words", "p_negative", "p_neutral", "p_positive", "predicted_label"]
    ] * 2


def test_served_model_refuses_empty_texts(port: int) -> None:
    for text in ("", " ", "<br>"):
        status, answer = invoke(port, ["fine", text])
        assert status == 400, answer
        assert "row 2 is empty" in json.dumps(answer)


@pytest.mark.parametrize("values", [[None], [3], ["fine", None], [True], [["a"]], ["fine", 1.5]])
def test_served_model_refuses_other_types(port: int, values: list[Any]) -> None:
    status, answer = invoke(port, values)
    assert status == 400, answer
    assert "predictions" not in answer
