"""Champion: the model that the service answers with, and the next one, taken as soon as it is promoted.

A promoted model is downloaded, checked, loaded and asked a few texts before it answers anybody; one that fails is
refused, and the old one stays. Requests in work keep the model that they began with.
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
from ..evaluation.explanation import Explainer
from ..inference.manifest import MANIFEST, TOKENIZER
from ..inference.predictor import Predictor
from ..registry.models import open_version
from ..registry.store import Store

if TYPE_CHECKING:
    from ..registry.lazy_mlflow import ModelVersion
    from .metrics import Monitor

log = logging.getLogger("serve")
EXAMPLES = [*modality("text").examples, "", "终于下雨了 ☔", "no " * 500]


@dataclass(frozen=True)
class Served:
    """A model that is loaded, and what the service says of it."""

    predictor: Predictor
    explainer: Explainer
    name: str
    version: str  # empty for a folder
    state: str  # the pipeline state that made it, see pipeline/state.py
    language: str
    figures: dict[str, float] = field(default_factory=dict)  # on the test rows, where the store has them
    loaded: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def title(self) -> str:
        return f"{self.name} version {self.version}" if self.version else self.name

    def explanations(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """What the explainer says of each raw text."""
        return [self.explainer.explain(text).to_dict() for text in texts]


def load_folder(folder: Path, name: str = "", version: str = "", figures: dict[str, float] | None = None) -> Served:
    """Load a model folder and ask the model a few texts.

    Raises
    ------
    PipelineError
        The folder is altered, of another format, cannot be loaded, or its model gives no probabilities.
    """
    try:
        predictor = Predictor.load(folder)
        explainer = Explainer.beside(predictor, folder)
        _check(predictor)
        explainer.explain(EXAMPLES[0])
    except PipelineError:
        raise
    except Exception as error:  # the libraries raise what they like
        raise PipelineError(f"the model in {folder} cannot be loaded: {type(error).__name__}: {error}") from error
    gc.freeze()  # or each full collection would go through a vocabulary of 500,000 n-grams while requests wait
    state, language = read_json(folder / MANIFEST)["state"], read_json(folder / TOKENIZER)["language"]
    return Served(predictor, explainer, name or folder.resolve().name, version, state, language, figures or {})


def _check(predictor: Predictor) -> None:
    together = predictor.probabilities(EXAMPLES)
    alone = np.vstack([predictor.probabilities([text]) for text in EXAMPLES])
    sound = (
        together.shape == (len(EXAMPLES), len(predictor.classes))
        and np.isfinite(together).all()
        and np.allclose(together.sum(axis=1), 1, atol=1e-5)
        and np.allclose(together, alone, atol=1e-5)
    )
    if not sound:
        raise PipelineError("the model does not answer texts with probabilities that sum to 1; train it anew")


def load_version(store: Store, version: "ModelVersion") -> Served:
    """Download a registered version and load it; errors as in `load_folder`, and what MLflow raises."""
    with open_version(store, version) as model:
        folder = model.folder
        try:
            return load_folder(folder, version.name, str(version.version), store.versions.test_metrics(version))
        except PipelineError as error:  # the temporary folder tells nobody anything
            raise PipelineError(str(error).replace(f"{folder}/", "").replace(str(folder), "its folder")) from error


class Champion:
    """The model in service.

    Parameters
    ----------
    served : Served
        The first one.
    monitor : Monitor
        What counts switches and refusals.
    store : Store or None
        Where the alias is; None for a model that stays.
    alias : str
        What to follow, such as "champion".
    """

    def __init__(self, served: Served, monitor: "Monitor", store: Store | None = None, alias: str = "") -> None:
        self.served, self._monitor, self._store, self._alias = served, monitor, store, alias
        self.refused: dict[str, str] | None = None  # version and reason
        self.trouble = ""  # with the store, told once
        self._stop = threading.Event()
        monitor.model(served.name, served.version)
        monitor.store.set(store is not None)

    def follow(self, seconds: float) -> None:
        """Look where the alias is, every so many seconds, in a thread of its own."""
        if self._store:
            arguments = (self._store, seconds)
            threading.Thread(target=self._follow, args=arguments, name="champion", daemon=True).start()

    def close(self) -> None:
        self._stop.set()

    def _follow(self, store: Store, seconds: float) -> None:
        while not self._stop.wait(seconds):
            self.look(store)

    def look(self, store: Store) -> None:
        """Take the version that carries the alias now, unless it is the one in service, or was refused."""
        try:
            version = store.versions.alias(self.served.name, self._alias)
            if version is None:
                return self._say(
                    f"the store {without_credentials(store.address)} has no {self._alias} of {self.served.name}"
                )
            number = str(version.version)
            if number == self.served.version:
                self.refused = None
            elif not self.refused or number != self.refused["version"]:
                self._take(load_version(store, version))
        except PipelineError as error:
            self._refuse(number, str(error))
        except Exception as error:  # noqa: BLE001 - clients of stores raise what they like; the next look may find it well
            return self._say(f"the store {without_credentials(store.address)} does not answer ({type(error).__name__})")
        self._say("")

    def _take(self, served: Served) -> None:
        self.served, self.refused = served, None
        self._monitor.model(served.name, served.version)
        self._monitor.switches.inc()
        log.info("now in service: %s", served.title)

    def _refuse(self, number: str, reason: str) -> None:
        self.refused = {"version": number, "reason": reason}
        self._monitor.refused.inc()
        log.error("%s version %s is refused, %s stays: %s", self.served.name, number, self.served.title, reason)

    def _say(self, trouble: str) -> None:
        self._monitor.store.set(not trouble)
        if trouble and not self.trouble:
            log.warning("%s; %s stays in service", trouble, self.served.title)
        elif self.trouble and not trouble:
            log.info("the store is well again")
        self.trouble = trouble

    def information(self) -> dict[str, Any]:
        """What `GET /model` says."""
        served = self.served
        return {
            "name": served.name,
            "version": served.version or None,
            "alias": self._alias or None,
            "classes": list(served.predictor.classes),
            "language": served.language,
            "state": served.state,
            "figures": served.figures,
            "loaded": served.loaded,
            "refused": self.refused,
            "trouble": self.trouble or None,
        }
