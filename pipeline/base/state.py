"""The identity of a pipeline state: one hash of everything that training depends on."""

from functools import reduce
from pathlib import Path
from typing import Any

from .files import read_yaml, sha256_json, sha256_tree
from .params import PARAMS_FILE

DVC_FILE = Path("dvc.yaml")


def state_id() -> str:
    """Hash the train stage's deps and params as `dvc.yaml` lists them: data, code, runtime lock, parameters.

    Equal inputs give an equal identity on every machine and in every checkout; the state's MLflow run is found by it.
    The entry itself is not hashed: DVC runs a stage again if its entry has changed.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    stage = read_yaml(DVC_FILE)["stages"]["train"]
    params = read_yaml(PARAMS_FILE)
    content = {
        "deps": {path: sha256_tree(Path(path)) for path in stage["deps"]},
        "params": {key: value_at(params, key) for key in stage["params"]},
    }
    return sha256_json(content)


def value_at(document: dict[str, Any], key: str) -> Any:
    """Return the value under a dotted key.

    >>> value_at({"train": {"units": 64}}, "train.units")
    64
    """
    return reduce(lambda part, name: part[name], key.split("."), document)
