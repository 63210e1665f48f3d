"""The one way to open a model: by its folder, its alias or its version."""

import importlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import PipelineError
from ..base.files import read_json, read_yaml
from ..inference.manifest import MANIFEST, Manifest, modalities
from ..inference.part import Rows

if TYPE_CHECKING:
    from .lazy_mlflow import ModelVersion
    from .store import Store

Predicted = list[list[Any]]  # columns: those of `Answers.as_table`
Predict = Callable[[Rows, str], Predicted]  # cells by modality, and class shares


@dataclass(frozen=True)
class OpenedModel:
    """A model folder, and the code that loads it: a registered model brings its own.

    Parameters
    ----------
    name : str
        For messages, such as "tweets-lstm champion".
    folder : Path
        The model folder, which has a `model.json`.
    module : str
        The module that loads it.
    code : Path, optional
        The folder to import that module from; None for this project's own.
    """

    name: str
    folder: Path
    module: str = "pipeline.inference.predictor"
    code: Path | None = None

    def manifest(self) -> Manifest:
        """Read `model.json`."""
        manifest: Manifest = read_json(self.folder / MANIFEST)
        return manifest

    def load(self) -> Predict:
        """Return a function that predicts raw rows under class priors with the model's own code."""
        import pandas as pd

        if self.code:
            sys.path.insert(0, str(self.code))
        try:
            model = importlib.import_module(self.module)._load_pyfunc(str(self.folder))
        except Exception as error:  # the model's own code may raise anything, also its own PipelineError
            raise PipelineError(f"{self.name} cannot be loaded: {error}") from error

        manifest = self.manifest()
        # Which rows are empty was decided before. Older models take no parameters.
        takes_params, counts_words = "class_shares" in manifest, "text" in modalities(manifest)

        def predict(rows: Rows, class_shares: str) -> Predicted:
            params = [{"class_shares": class_shares, "allow_empty": True}] if takes_params else []
            table = model.predict(pd.DataFrame(rows), *params).round(6)
            columns = [column.to_list() for _, column in table.items()]
            if counts_words and "known_words" not in table:  # an older model
                columns.append([None] * len(table))
            return columns

        return predict


@contextmanager
def open_model(which: str, name: str = "") -> Iterator[OpenedModel]:
    """Open a model folder, or a registered model, which is downloaded for the duration of the block.

    Parameters
    ----------
    which : str
        A model folder, a downloaded registered model, or the alias or version number of a registered one.
    name : str
        Name of the registered model; empty for that of `params.yaml`.

    Raises
    ------
    PipelineError
        There is no such model, or the store does not answer.
    """
    folder = Path(which)
    if (folder / MANIFEST).is_file():
        yield OpenedModel(which, folder)
    elif (folder / "MLmodel").is_file():
        yield packaged(which, folder)
    elif folder.is_dir():
        raise PipelineError(f"{which} is not a model folder: it has no model.json; use data/train/model, or champion")
    else:
        from . import tracking  # only here: what it imports takes a tenth of a second
        from .settings import model_name

        name = name or model_name()
        store = tracking.connect()
        with ExitStack() as download:
            with tracking.store_errors(store.address):
                model = download.enter_context(open_version(store, store.versions.get(name, which)))
            yield replace(model, name=f"{name} {which}")


@contextmanager
def open_version(store: "Store", version: "ModelVersion") -> Iterator[OpenedModel]:
    """Download a registered version for the duration of the block; what MLflow raises is raised as it is."""
    with tempfile.TemporaryDirectory() as temporary:
        yield packaged(f"{version.name} version {version.version}", store.versions.package(version, Path(temporary)))


def packaged(name: str, package: Path) -> OpenedModel:
    """Return a downloaded registered model; MLflow's description in it names its data and its code."""
    flavor = read_yaml(package / "MLmodel").get("flavors", {}).get("python_function", {})
    if not {"data", "loader_module", "code"} <= set(flavor):
        raise PipelineError(f"{name} was not made by this pipeline; choose another model")
    return OpenedModel(name, package / flavor["data"], flavor["loader_module"], package / flavor["code"])
