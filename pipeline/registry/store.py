"""Store: what the pipeline reads and writes in MLflow: runs, registered models, and who is at work.

A run belongs to one pipeline state and is found by its tag, so that a second `dvc repro`, a crash or a fresh clone
never doubles it.
"""

import hashlib
import json
import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base import params, paths, versioning
from ..base.errors import PipelineError, without_credentials
from ..base.files import read_json
from ..data.settings import Ingest
from ..training.settings import Train
from . import packaging

if TYPE_CHECKING:
    from filelock import FileLock
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion


def run_name() -> str:
    """What tells runs apart, first: MLflow's UI cuts a long name at its end."""
    strategy, preset = read_json(paths.REBALANCE_SUMMARY)["strategy"], params.load(Train).preset
    parts = [os.environ.get("DVC_EXP_NAME"), strategy, preset, params.load(Ingest).title]
    return " · ".join(dict.fromkeys(filter(None, parts)))


STATE, PUBLISHED, MODEL_DIGEST = "pipeline.state", "pipeline.published", "pipeline.model_digest"
HOLDER = "pipeline.holder"  # of a model registered to hold a server, see Store.alone
STALE = 60.0  # seconds after which one who holds a server for some seconds' work must have been killed
Figures = Mapping[str, float]


@dataclass(frozen=True)
class Store:
    """A tracking store and the experiment in it that holds the pipeline's runs."""

    address: str
    client: "MlflowClient"
    experiment_id: str
    lock: "FileLock"  # of this machine; see `alone`

    @contextmanager
    def alone(self, purpose: str) -> Iterator[None]:
        """Hold the store for a few seconds: two processes that find or make the same thing at once would make two.

        Processes that share a database file hold a file lock. On a server, where other machines write too, they also
        register a model called after the purpose, which the server lets only one do, and delete it afterwards, unless
        it is another's by then. A server deletes models by name alone: one that is taken over between that look and
        the deletion, some milliseconds after a minute, would be lost.
        """
        with self.lock:
            if self.address.startswith("sqlite:"):
                yield
                return
            name = f"{purpose} (in use)"
            holder = self._take(name)
            try:
                yield
            finally:
                self._release(name, holder)

    def _take(self, name: str) -> str:
        """Register the model that only one can; give what identifies the holder."""
        from mlflow.exceptions import MlflowException

        own, seen, since = secrets.token_hex(16), "", time.monotonic()
        while True:
            try:
                self.client.create_registered_model(
                    name, tags={HOLDER: own}, description="Held for seconds, while another run is published."
                )
                return own
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            holder = self._holder(name)
            if holder != seen:
                seen, since = holder, time.monotonic()
            elif time.monotonic() - since > 3 * STALE:  # as where only another account may delete it
                raise PipelineError(f"the store holds a model called {name!r} for too long; delete it in MLflow")
            elif holder and time.monotonic() - since > STALE:  # whoever held it was killed
                self._release(name, holder)
            time.sleep(0.2)

    def _holder(self, name: str) -> str:
        """Who holds a name; empty if nobody does."""
        found = self.client.search_registered_models(f"name = '{name}'")
        return found[0].tags.get(HOLDER, "unknown") if found else ""

    def _release(self, name: str, holder: str) -> None:
        """Delete what `holder` registered, unless it is gone, or another's by now."""
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException):
            if self._holder(name) == holder:
                self.client.delete_registered_model(name)

    def find_run(self, state: str) -> "Run | None":
        """The run of a pipeline state."""
        found = self.client.search_runs([self.experiment_id], f"tags.`{STATE}` = '{state}'", max_results=1)
        return found[0] if found else None

    def open_run(self, state: str) -> "Run":
        """The run of a pipeline state; a new one where there is none."""
        found = self.find_run(state)
        if found:
            return found
        with self.alone(f"run {state[:16]}"):
            return self.find_run(state) or self.client.create_run(
                self.experiment_id, run_name=run_name(), tags={STATE: state, **versioning.tags()}
            )

    def log_epochs(self, run: "Run", history: Sequence[Figures]) -> None:
        """Log figures by epoch, under timestamps counted from the run's start: logging them again changes nothing."""
        from mlflow.entities import Metric

        points = [
            Metric(_metric_name(key), value, run.info.start_time + 1_000 * int(figures["epoch"]), int(figures["epoch"]))
            for figures in history
            for key, value in figures.items()
            if key != "epoch"
        ]
        self.client.log_batch(run.info.run_id, metrics=points)

    def log_figures(self, run: "Run", figures: Figures) -> None:
        """Log final figures that the run does not have yet, under timestamps that two processes at once agree on."""
        from mlflow.entities import Metric

        have = {point.key: point for point in run.data.to_proto().metrics}  # run.data.metrics has no timestamps
        points = []
        for name, value in figures.items():
            key = _metric_name(name)
            last = have.get(key)
            if last is None or last.value != value:
                points.append(Metric(key, value, last.timestamp + 1 if last else run.info.start_time, 0))
        for start in range(0, len(points), 1_000):  # more, a server refuses
            self.client.log_batch(run.info.run_id, metrics=points[start : start + 1_000])

    def log_params(self, run: "Run", values: Mapping[str, Any]) -> None:
        """Log parameters that the run does not have yet; MLflow refuses to change one."""
        from mlflow.entities import Param

        new = [Param(key, str(value)) for key, value in values.items() if key not in run.data.params]
        self.client.log_batch(run.info.run_id, params=new)

    def log_datasets(self, run: "Run", title: str, datasets: Mapping[str, tuple[Path, str, int]]) -> None:
        """Log the parts of the data set called `title` by context: file, SHA-256 and number of rows."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = [
            DatasetInput(
                Dataset(
                    name=f"{title} · {path.stem}",
                    digest=digest[:36],
                    source_type="local",
                    source=json.dumps({"uri": path.as_posix()}),
                    profile=json.dumps({"num_rows": rows, "sha256": digest}),
                ),
                [InputTag("mlflow.data.context", context)],
            )
            for context, (path, digest, rows) in datasets.items()
        ]
        self.client.log_inputs(run.info.run_id, datasets=inputs)

    def log_files(self, run: "Run", files: Mapping[str, Sequence[Path]]) -> None:
        """Upload files, by the folder that they get in the run."""
        for folder, sources in files.items():
            for path in sources:
                self.client.log_artifact(run.info.run_id, str(path), folder or None)

    def link_project_run(self, run: "Run") -> None:
        """Where `mlflow run` started the pipeline: say in the run that it made which run holds the results."""
        project_run = os.environ.get("MLFLOW_RUN_ID")
        if project_run:
            self.client.set_tag(project_run, "pipeline.run", run.info.run_id)
            note = f"Started the pipeline; results: run `{run.info.run_name}` ({run.info.run_id})."
            self.client.set_tag(project_run, "mlflow.note.content", note)

    def finish(self, run: "Run", tags: Mapping[str, str]) -> None:
        """Close a run and tag it; the last tag says that all is done."""
        if run.info.status != "FINISHED":
            self.client.set_terminated(run.info.run_id, "FINISHED")
        for key, value in tags.items():
            self.client.set_tag(run.info.run_id, key, value)

    def find_version(self, name: str, digest: str) -> "ModelVersion | None":
        """The registered version of `name` that holds the model of this digest."""
        found = self.client.search_model_versions(f"name = '{name}' and tags.`{MODEL_DIGEST}` = '{digest}'")
        return found[0] if found else None

    def alias(self, name: str, alias: str) -> "ModelVersion | None":
        """The version of `name` that carries an alias."""
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_model_version_by_alias(name, alias)
        except MlflowException as error:
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:  # no such model, or alias
                return None
            raise

    def find(self, name: str, which: str) -> "ModelVersion | None":
        """The version of `name` that an alias or a number names."""
        aliased = self.alias(name, which)
        if aliased or not which.isdecimal():
            return aliased
        found = [each for each in self.client.search_model_versions(f"name = '{name}'") if str(each.version) == which]
        return found[0] if found else None

    def version(self, name: str, which: str) -> "ModelVersion":
        """The same.

        Raises
        ------
        PipelineError
            There is none.
        """
        found = self.find(name, which)
        if found is None:
            raise PipelineError(
                f"the store {without_credentials(self.address)} has no {which} of model {name}; "
                "`make repro` registers one"
            )
        return found

    def learnt_from(self, name: str) -> Iterator[tuple[str, list[str]]]:
        """Each version of `name`, and the SHA-256 of the tables of rows that its run trained on or chose by."""
        for version in self.client.search_model_versions(f"name = '{name}'"):
            inputs = self.client.get_run(version.run_id).inputs if version.run_id else None
            logged = inputs.dataset_inputs if inputs else []
            learnt = [each.dataset for each in logged if "test" not in {tag.value for tag in each.tags}]
            yield str(version.version), [json.loads(each.profile or "{}").get("sha256", "") for each in learnt]

    def package(self, version: "ModelVersion", folder: Path) -> Path:
        """Download a registered version with all that it brings into `folder`; give where it lies."""
        import mlflow

        uri = f"models:/{version.name}/{version.version}"
        return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder), tracking_uri=self.address))

    def download(self, version: "ModelVersion", folder: Path) -> Path:
        """Download a registered version into `folder`; give the model folder in it, see `pipeline.prediction`."""
        from mlflow.models import Model

        place = self.package(version, folder)
        data: str | None = Model.load(str(place)).flavors.get("python_function", {}).get("data")
        if not data:
            raise PipelineError(f"{version.name} version {version.version} is no model of this pipeline")
        return place / data

    def parameters(self, version: "ModelVersion") -> dict[str, str]:
        """The parameters that the version's run shows; empty where it has no run."""
        found: dict[str, str] = self.client.get_run(version.run_id).data.params if version.run_id else {}
        return found

    def test_figures(self, version: "ModelVersion") -> dict[str, float]:
        """The figures on the test rows that the version's run shows, such as accuracy."""
        metrics = self.client.get_run(version.run_id).data.metrics if version.run_id else {}
        return {key.removeprefix("test/"): value for key, value in metrics.items() if key.startswith("test/")}

    def register(self, run: "Run", name: str, folder: Path, digest: str, classes: Sequence[str]) -> "ModelVersion":
        """Register a model folder under `name`, unless its digest is registered already.

        Parameters
        ----------
        run : Run
            The run that made the model.
        name : str
            The registered model's name.
        folder : Path
            The model folder, as `pipeline.prediction` writes it.
        digest : str
            What identifies the model.
        classes : sequence of str
            Class names, for the signature.
        """
        import mlflow

        found = self.find_version(name, digest)
        if found:
            return found
        logged = self.client.search_logged_models(
            [self.experiment_id],
            filter_string=f"tags.`{MODEL_DIGEST}` = '{digest}' and status = 'READY'",
            max_results=1,
        )
        model_id = logged[0].model_id if logged else self._log_model(run, folder, digest, classes)
        with self.alone(name):
            return self.find_version(name, digest) or mlflow.register_model(
                f"models:/{model_id}", name, tags={MODEL_DIGEST: digest}
            )

    def _log_model(self, run: "Run", folder: Path, digest: str, classes: Sequence[str]) -> str:
        import mlflow
        import pandas as pd
        from mlflow.models import Model, ModelSignature
        from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

        figures = [ColSpec("double", name) for name in ("confidence", *(f"p_{name}" for name in classes))]
        outputs = Schema([ColSpec("string", "predicted_label"), *figures])
        params = ParamSchema([ParamSpec("class_shares", "string", "")])
        signature = ModelSignature(inputs=Schema([ColSpec("string", "text")]), outputs=outputs, params=params)

        # The code travels under a name of its own, so that two versions in one process keep theirs.
        package = f"emotion_{digest[:12]}"
        with tempfile.TemporaryDirectory() as temporary:
            code = packaging.copy_code(Path(temporary) / package)
            # Made here, because Model.log alone would put it into the experiment Default.
            logged = self.client.create_logged_model(
                self.experiment_id, name="lstm", source_run_id=run.info.run_id, tags={MODEL_DIGEST: digest}
            )
            Model.log(
                artifact_path=None,
                flavor=mlflow.pyfunc,
                run_id=run.info.run_id,
                model_id=logged.model_id,
                loader_module=f"{package}.inference.predictor",
                data_path=str(folder),
                code_paths=[str(code)],
                signature=signature,
                input_example=pd.DataFrame({"text": packaging.EXAMPLES}),
                pip_requirements=packaging.requirements(),
            )
        model_id: str = logged.model_id
        return model_id

    def annotate(self, version: "ModelVersion", tags: Mapping[str, str], description: str | None = None) -> None:
        """Set tags of a registered version, and its description."""
        for key, value in tags.items():
            self.client.set_model_version_tag(version.name, version.version, key, value)
        if description is not None:
            self.client.update_model_version(version.name, version.version, description)

    def describe(self, name: str, description: str) -> None:
        """Set the description of a registered model, unless a person gave it another one."""
        if not self.client.get_registered_model(name).description:
            self.client.update_registered_model(name, description)

    def model_tags(self, name: str) -> dict[str, str]:
        """The tags of a registered model; none where there is no such model."""
        found = self.client.search_registered_models(f"name = '{name}'")
        return dict(found[0].tags) if found else {}

    def tag_model(self, name: str, tags: Mapping[str, str]) -> None:
        """Set tags of a registered model."""
        for key, value in tags.items():
            self.client.set_registered_model_tag(name, key, value)

    def drop_tag(self, version: "ModelVersion", key: str) -> None:
        """Remove a tag of a registered version."""
        self.client.delete_model_version_tag(version.name, version.version, key)

    def move_alias(self, alias: str, version: "ModelVersion") -> None:
        """Give an alias to a version, taking it from any other."""
        self.client.set_registered_model_alias(version.name, alias, version.version)

    def drop_alias(self, alias: str, version: "ModelVersion") -> None:
        """Take an alias from a version that has it."""
        if alias in self.client.get_model_version(version.name, version.version).aliases:
            self.client.delete_registered_model_alias(version.name, alias)


def _metric_name(name: str) -> str:
    """A name as MLflow's UI groups it: train_loss becomes train/loss; a digest replaces what MLflow refuses."""
    grouped = re.sub(r"^(train|validation)_", r"\1/", name)
    taken = re.sub(r"[^\w/.\- :]|(?<=/)\.*(?=/)", "_", grouped)[:240]  # also parts that are empty or dots alone
    if taken != grouped:  # two classes never share a name
        taken += "_" + hashlib.sha256(name.encode()).hexdigest()[:8]
    return taken
