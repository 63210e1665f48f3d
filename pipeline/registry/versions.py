"""Registered models and their versions, one version for each model digest."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..base.errors import PipelineError, without_credentials
from ..inference.manifest import Manifest, modalities
from . import lazy_mlflow, packaging
from .lock import StoreLock

if TYPE_CHECKING:
    from .lazy_mlflow import MlflowClient, ModelSignature, ModelVersion, Run

MODEL_DIGEST = "pipeline.model_digest"  # tag of versions and logged models


@dataclass(frozen=True)
class Versions:
    """The registered versions of a store, and the aliases and tags that they carry."""

    address: str
    client: "MlflowClient"
    experiment_id: str
    lock: StoreLock

    def with_digest(self, name: str, digest: str) -> "ModelVersion | None":
        """Return the version of `name` whose model has this digest, if there is one."""
        versions = self.client.search_model_versions(f"name = '{name}' and tags.`{MODEL_DIGEST}` = '{digest}'")
        return versions[0] if versions else None

    def alias(self, name: str, alias: str) -> "ModelVersion | None":
        """Return the version of `name` that carries an alias, if there is one."""
        try:
            return self.client.get_model_version_by_alias(name, alias)
        except lazy_mlflow.MlflowException as error:
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:  # no such model, or alias
                return None
            raise

    def find(self, name: str, which: str) -> "ModelVersion | None":
        """Return the version of `name` with an alias or a number, if there is one."""
        aliased = self.alias(name, which)
        if aliased or not which.isdecimal():
            return aliased
        versions = self.client.search_model_versions(f"name = '{name}'")
        return next((version for version in versions if str(version.version) == which), None)

    def get(self, name: str, which: str) -> "ModelVersion":
        """Return the version of `name` with an alias or a number.

        Raises
        ------
        PipelineError
            There is none.
        """
        version = self.find(name, which)
        if version is None:
            raise PipelineError(
                f"the store {without_credentials(self.address)} has no {which} of model {name}; "
                "`make repro` registers one"
            )
        return version

    def learned_from(self, name: str) -> Iterator[tuple[str, list[str]]]:
        """Yield each version of `name` with the SHA-256 of its training and validation tables."""
        for version in self.client.search_model_versions(f"name = '{name}'"):
            inputs = self.client.get_run(version.run_id).inputs if version.run_id else None
            tables = inputs.dataset_inputs if inputs else []
            learned = [table.dataset for table in tables if "test" not in {tag.value for tag in table.tags}]
            yield str(version.version), [json.loads(dataset.profile or "{}").get("sha256", "") for dataset in learned]

    def package(self, version: "ModelVersion", folder: Path) -> Path:
        """Download a version with the code that it brings into `folder`; return the path of the download."""
        uri = f"models:/{version.name}/{version.version}"
        return Path(lazy_mlflow.download_artifacts(uri, dst_path=str(folder), tracking_uri=self.address))

    def parameters(self, version: "ModelVersion") -> dict[str, str]:
        """Return the parameters that the version's run logged; empty without a run."""
        values: dict[str, str] = self.client.get_run(version.run_id).data.params if version.run_id else {}
        return values

    def test_metrics(self, version: "ModelVersion") -> dict[str, float]:
        """Return the metrics on the test rows that the version's run logged, such as accuracy; empty without a run."""
        metrics = self.client.get_run(version.run_id).data.metrics if version.run_id else {}
        return {key.removeprefix("test/"): value for key, value in metrics.items() if key.startswith("test/")}

    def register(self, run: "Run", name: str, folder: Path, digest: str, manifest: Manifest) -> "ModelVersion":
        """Register a model folder under `name`, unless its digest is registered already.

        Parameters
        ----------
        run : Run
            The run that trained the model.
        name : str
            The registered model's name.
        folder : Path
            The model folder, as train writes it.
        digest : str
            Identifies the model, see `packaging.digest`.
        manifest : Manifest
            The model folder's: what the model reads and predicts.
        """
        version = self.with_digest(name, digest)
        if version:
            return version
        logged = self.client.search_logged_models(
            [self.experiment_id],
            filter_string=f"tags.`{MODEL_DIGEST}` = '{digest}' and status = 'READY'",
            max_results=1,
        )
        model_id = logged[0].model_id if logged else self._log_model(run, folder, digest, manifest)
        with self.lock.hold(name):
            return self.with_digest(name, digest) or lazy_mlflow.register_model(
                f"models:/{model_id}", name, tags={MODEL_DIGEST: digest}
            )

    def _log_model(self, run: "Run", folder: Path, digest: str, manifest: Manifest) -> str:
        """Upload a model folder with its code; return the id of the logged model."""
        import pandas as pd

        # The package name is unique, so that two versions in one process keep their own code.
        package = f"emotion_{digest[:12]}"
        with tempfile.TemporaryDirectory() as temporary:
            code = packaging.copy_code(Path(temporary) / package, manifest)
            # Created here, because Model.log would put it into the experiment Default.
            logged = self.client.create_logged_model(
                self.experiment_id, name="lstm", source_run_id=run.info.run_id, tags={MODEL_DIGEST: digest}
            )
            lazy_mlflow.Model.log(
                artifact_path=None,
                flavor=lazy_mlflow.pyfunc,
                run_id=run.info.run_id,
                model_id=logged.model_id,
                loader_module=f"{package}.inference.predictor",
                data_path=str(folder),
                code_paths=[str(code)],
                signature=_signature(manifest),
                input_example=pd.DataFrame(packaging.examples(manifest)),
                pip_requirements=packaging.requirements(),
            )
        model_id: str = logged.model_id
        return model_id

    def annotate(self, version: "ModelVersion", tags: Mapping[str, str], description: str | None = None) -> None:
        """Set tags of a version, and its description."""
        for key, value in tags.items():
            self.client.set_model_version_tag(version.name, version.version, key, value)
        if description is not None:
            self.client.update_model_version(version.name, version.version, description)

    def drop_tag(self, version: "ModelVersion", key: str) -> None:
        """Remove a tag of a version."""
        self.client.delete_model_version_tag(version.name, version.version, key)

    def move_alias(self, alias: str, version: "ModelVersion") -> None:
        """Give an alias to a version, and take it from any other."""
        self.client.set_registered_model_alias(version.name, alias, version.version)

    def drop_alias(self, alias: str, version: "ModelVersion") -> None:
        """Take an alias from a version, if it has it."""
        if alias in self.client.get_model_version(version.name, version.version).aliases:
            self.client.delete_registered_model_alias(version.name, alias)

    def describe_model(self, name: str, description: str) -> None:
        """Set the description of a registered model that has none: a person may have written another one."""
        if not self.client.get_registered_model(name).description:
            self.client.update_registered_model(name, description)

    def model_tags(self, name: str) -> dict[str, str]:
        """Return the tags of a registered model; empty if there is no such model."""
        models = self.client.search_registered_models(f"name = '{name}'")
        return dict(models[0].tags) if models else {}

    def tag_model(self, name: str, tags: Mapping[str, str]) -> None:
        """Set tags of a registered model."""
        for key, value in tags.items():
            self.client.set_registered_model_tag(name, key, value)


def _signature(manifest: Manifest) -> "ModelSignature":
    """Describe what a registered model takes and returns: a cell of each kind; a label, probabilities by class."""
    numbers = ["confidence", *(f"p_{name}" for name in manifest["classes"])]
    probabilities = [lazy_mlflow.ColSpec("double", name) for name in numbers]
    known = [lazy_mlflow.ColSpec("long", "known_words")] if "text" in modalities(manifest) else []
    return lazy_mlflow.ModelSignature(
        inputs=lazy_mlflow.Schema([lazy_mlflow.ColSpec("string", name) for name in modalities(manifest)]),
        outputs=lazy_mlflow.Schema([lazy_mlflow.ColSpec("string", "predicted_label"), *probabilities, *known]),
        params=lazy_mlflow.ParamSchema(
            [
                lazy_mlflow.ParamSpec("class_shares", "string", ""),
                lazy_mlflow.ParamSpec("allow_empty", "boolean", False),
            ]
        ),
    )
