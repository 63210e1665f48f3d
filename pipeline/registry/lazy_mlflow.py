"""MLflow's names, imported at first use: importing MLflow takes two seconds, and many commands never need it."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient as MlflowClient
    from mlflow import pyfunc as pyfunc
    from mlflow import register_model as register_model
    from mlflow import set_registry_uri as set_registry_uri
    from mlflow import set_tracking_uri as set_tracking_uri
    from mlflow.artifacts import download_artifacts as download_artifacts
    from mlflow.entities import Dataset as Dataset
    from mlflow.entities import DatasetInput as DatasetInput
    from mlflow.entities import InputTag as InputTag
    from mlflow.entities import Metric as Metric
    from mlflow.entities import Param as Param
    from mlflow.entities import Run as Run
    from mlflow.entities.model_registry import ModelVersion as ModelVersion
    from mlflow.exceptions import MlflowException as MlflowException
    from mlflow.models import Model as Model
    from mlflow.models import ModelSignature as ModelSignature
    from mlflow.types import ColSpec as ColSpec
    from mlflow.types import ParamSchema as ParamSchema
    from mlflow.types import ParamSpec as ParamSpec
    from mlflow.types import Schema as Schema

# Modules and the names imported from them at run time.
MLFLOW_NAMES = {
    "mlflow": ("MlflowClient", "pyfunc", "register_model", "set_registry_uri", "set_tracking_uri"),
    "mlflow.artifacts": ("download_artifacts",),
    "mlflow.entities": ("Dataset", "DatasetInput", "InputTag", "Metric", "Param"),
    "mlflow.exceptions": ("MlflowException",),
    "mlflow.models": ("Model", "ModelSignature"),
    "mlflow.types": ("ColSpec", "ParamSchema", "ParamSpec", "Schema"),
}


def __getattr__(name: str) -> object:
    """Import one of `MLFLOW_NAMES`; Python calls this for a name that the module does not have yet (PEP 562)."""
    for module, names in MLFLOW_NAMES.items():
        if name in names:
            value = globals()[name] = getattr(importlib.import_module(module), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
