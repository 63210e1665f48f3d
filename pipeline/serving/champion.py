"""The model in service, and the switch to the next champion as soon as it is promoted.

A promoted version is downloaded, verified, loaded and tried on a few texts before it answers requests. A version that
fails is refused, and the old one stays. A request in progress keeps the model that it started with.
"""

import gc
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.errors import PipelineError, without_credentials
from ..base.files import read_json
from ..base.modalities import modality
from ..evaluation.explanation import Explainer, ExplanationDict
from ..inference.manifest import MANIFEST, TOKENIZER, require_text
from ..inference.predictor import Predictor
from ..registry.models import open_version
from ..registry.store import Store

if TYPE_CHECKING:
    from ..registry.lazy_mlflow import ModelVersion
    from .metrics import Monitor

log = logging.getLogger("serve")
EXAMPLES = [*modality("text").examples, "", "终于下雨了 ☔", "no " * 500]


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory, and the facts that the service shows about it."""

    predictor: Predictor
    explainer: Explainer
    name: str
    version: str  # empty for a folder
    state: str  # hash of the pipeline state that trained it
    language: str
    figures: dict[str, float] = field(default_factory=dict)  # metrics on the test set, where the store has them
    loaded: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def title(self) -> str:
        return f"{self.name} version {self.version}" if self.version else self.name

    def predictions(self, texts: Sequence[str]) -> list[dict[str, Any] | None]:
        """Label each raw text, with the fields of `schemas.Prediction`; None where nothing is left of it."""
        answers = self.predictor.answers(texts)
        rows = zip(answers.probabilities, answers.known_words, answers.empty, strict=True)  # type: ignore[arg-type]
        return [None if empty else self._prediction(row, int(known)) for row, known, empty in rows]

    def _prediction(self, row: np.ndarray, known_words: int) -> dict[str, Any]:
        best = int(row.argmax())
        return {
            "predicted_label": self.predictor.classes[best],
            "confidence": float(row[best]),
            "probabilities": dict(zip(self.predictor.classes, row.tolist(), strict=True)),
            "known_words": known_words,
        }

    def explanations(self, texts: Sequence[str]) -> list[ExplanationDict | None]:
        """Explain each raw text, with the fields of `schemas.ExplainResponse`; None where nothing is left of it."""
        explanations = (self.explainer.explain(text).to_dict() for text in texts)
        return [explanation if explanation["text"] else None for explanation in explanations]


def load_folder(
    folder: Path, name: str = "", version: str = "", figures: dict[str, float] | None = None
) -> LoadedModel:
    """Load a model folder and try the model on a few texts.

    Raises
    ------
    PipelineError
        The folder was altered, has another format or cannot be loaded, or its model does not return probabilities.
    """
    try:
        predictor = Predictor.load(folder)
        require_text(read_json(folder / MANIFEST), "serve")
        explainer = Explainer.from_predictor(predictor, folder)
        _check_probabilities(predictor)
        explainer.explain(EXAMPLES[0])
    except PipelineError:
        raise
    except Exception as error:  # the libraries raise any exception
        raise PipelineError(f"the model in {folder} cannot be loaded: {type(error).__name__}: {error}") from error
    gc.freeze()  # otherwise each full collection visits a vocabulary of 500,000 n-grams while requests wait
    state, language = read_json(folder / MANIFEST)["state"], read_json(folder / TOKENIZER)["language"]
    return LoadedModel(predictor, explainer, name or folder.resolve().name, version, state, language, figures or {})


def _check_probabilities(predictor: Predictor) -> None:
    """Refuse a model unless its rows are probabilities, the same for a text alone and in a batch."""
    together = predictor.probabilities(EXAMPLES)
    alone = np.vstack([predictor.probabilities([text]) for text in EXAMPLES])
    valid = (
        together.shape == (len(EXAMPLES), len(predictor.classes))
        and np.isfinite(together).all()
        and np.allclose(together.sum(axis=1), 1, atol=1e-5)
        and np.allclose(together, alone, atol=1e-5)
    )
    if not valid:
        raise PipelineError(
            "the model does not return probabilities that sum to 1 and are the same for a text alone and in a batch; "
            "train it again"
        )


def load_version(store: Store, version: "ModelVersion") -> LoadedModel:
    """Download a registered version and load it; raises what `load_folder` and MLflow raise."""
    with open_version(store, version) as model:
        folder = model.folder
        try:
            return load_folder(folder, version.name, str(version.version), store.versions.test_metrics(version))
        except PipelineError as error:  # the path of the temporary folder does not help anyone
            raise PipelineError(str(error).replace(f"{folder}/", "").replace(str(folder), "its folder")) from error


class LiveChampion:
    """The model in service, which may follow an alias of the registry.

    Parameters
    ----------
    model : LoadedModel
        The first model.
    monitor : Monitor
        Counts switches and refusals.
    store : Store or None
        Where the alias is; None for a fixed model.
    alias : str
        The alias to follow, such as "champion".
    """

    def __init__(self, model: LoadedModel, monitor: "Monitor", store: Store | None = None, alias: str = "") -> None:
        self.model, self._monitor, self._store, self._alias = model, monitor, store, alias
        self.refused: dict[str, str] | None = None  # version and reason
        self.store_problem = ""  # logged once, not at every check
        self._stop = threading.Event()
        monitor.show_model(model.name, model.version)
        monitor.store_up.set(store is not None)

    def follow(self, seconds: float) -> None:
        """Check the alias at this interval, in a thread of its own."""
        if self._store:
            arguments = (self._store, seconds)
            threading.Thread(target=self._follow, args=arguments, name="champion", daemon=True).start()

    def close(self) -> None:
        """Stop checking the alias."""
        self._stop.set()

    def _follow(self, store: Store, seconds: float) -> None:
        while not self._stop.wait(seconds):
            self.check(store)

    def check(self, store: Store) -> None:
        """Switch to the version that has the alias now, unless it is in service already or was refused."""
        address = without_credentials(store.address)
        try:
            version = store.versions.alias(self.model.name, self._alias)
            if version is None:
                return self._report_store(f"the store {address} has no {self._alias} of {self.model.name}")
            number = str(version.version)
            if number == self.model.version:
                self.refused = None
            elif not self.refused or number != self.refused["version"]:
                self._load(store, version)
        except Exception as error:  # noqa: BLE001 - clients of stores raise any exception; the next check may succeed
            return self._report_store(f"the store {address} does not answer ({type(error).__name__})")
        self._report_store("")

    def _load(self, store: Store, version: "ModelVersion") -> None:
        try:
            model = load_version(store, version)
        except PipelineError as error:
            return self._refuse(str(version.version), str(error))
        self.model, self.refused = model, None
        self._monitor.show_model(model.name, model.version)
        self._monitor.switches.inc()
        log.info("now in service: %s", model.title)

    def _refuse(self, number: str, reason: str) -> None:
        self.refused = {"version": number, "reason": reason}
        self._monitor.refused.inc()
        log.error("refused %s version %s, %s stays in service: %s", self.model.name, number, self.model.title, reason)

    def _report_store(self, problem: str) -> None:
        """Log that a problem with the store began or ended; an empty string means none."""
        self._monitor.store_up.set(not problem)
        if problem and not self.store_problem:
            log.warning("%s; %s stays in service", problem, self.model.title)
        elif self.store_problem and not problem:
            log.info("solved: %s", self.store_problem)
        self.store_problem = problem

    def information(self) -> dict[str, Any]:
        """Return the fields of `schemas.ModelInfo`."""
        model = self.model
        return {
            "name": model.name,
            "version": model.version or None,
            "alias": self._alias or None,
            "classes": list(model.predictor.classes),
            "language": model.language,
            "state": model.state,
            "figures": model.figures,
            "loaded": model.loaded,
            "refused": self.refused,
            "trouble": self.store_problem or None,
        }
