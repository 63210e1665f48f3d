"""The identity of a pipeline state: a hash of all that training depends on."""

from functools import reduce
from pathlib import Path
from typing import Any

from .files import read_yaml, sha256_json, sha256_tree
from .params import PARAMS_FILE

DVC_FILE = Path("dvc.yaml")


def state_id() -> str:
    """Hash what the train stage depends on, as its entry in `dvc.yaml` lists it: data, code, runtime lock, parameters.

    That entry is no dep of the stage: DVC itself runs a stage again whose entry has changed.

    Equal inputs give an equal identity on every machine, in every checkout; it names the MLflow run of the state.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    stage = read_yaml(DVC_FILE)["stages"]["train"]
    params = read_yaml(PARAMS_FILE)
    content = {
        "deps": {path: sha256_tree(Path(path)) for path in stage["deps"]},
        "params": {key: at(params, key) for key in stage["params"]},
    }
    return sha256_json(content)


def at(document: dict[str, Any], key: str) -> Any:
    """The value under a dotted key, such as "train.preset"."""
    return reduce(lambda part, name: part[name], key.split("."), document)
