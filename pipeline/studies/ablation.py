"""Ablation: measure what each part of the network is worth, on validation rows only.

Every variant (see `ablation_variants`) is trained with several seeds on the data that the stages before train left, and
measured by cross-fitting over two halves of the validation rows (see `crossfit`): no weight or temperature is measured
on rows that it was fitted on, while the epoch at which training stops is chosen on all of them. All variants share
vocabulary and length, `textbook` too.

Results are cached in `.state/`: a run that was killed continues, and a second one computes nothing.
"""

from collections.abc import Sequence
from pathlib import Path

from ..base import command, params, process
from ..base.state import state_id
from ..data.settings import Ingest
from ..training import fit
from ..training.settings import Train
from . import crossfit, storage
from .ablation_report import report_ablation
from .ablation_variants import VARIANTS, VariantTraining, variant_settings, variant_trainings
from .crossfit import CrossfitResult
from .seeds import add_seeds_option


def train_variants(data: fit.Data, trainings: Sequence[VariantTraining], folder: Path) -> None:
    """Run the trainings that have no cached result in `folder`."""
    labels = data.labels["validation"]
    for number, training in enumerate(trainings, start=1):
        if training.load() is not None:
            continue
        print(f"{training.name} ({number} of {len(trainings)})")
        result = _train(data, training, trainings, folder)
        metrics = result.metrics(labels)
        training.save(result, metrics)
        print(", ".join(f"{key} {value:.4f}" for key, value in metrics.items()))


def _train(
    data: fit.Data, training: VariantTraining, trainings: Sequence[VariantTraining], folder: Path
) -> CrossfitResult:
    """Train a variant, or take the LSTM of the same variant with n-grams, which do not affect it."""
    settings = training.settings
    if settings is None or settings.ngrams:
        return process.run_in_process(crossfit.train_and_measure, data, settings, crossfit.ngram_outputs(data, folder))
    with_ngrams = settings.model_copy(update={"ngrams": True})
    for result in (other.load() for other in trainings if other.settings == with_ngrams):
        if result is not None and result.lstm is not None:
            seconds = result.seconds - crossfit.ngram_outputs(data, folder).seconds
            return CrossfitResult(result.lstm, result.lstm, seconds, result.history)
    return process.run_in_process(crossfit.train_and_measure, data, settings, None)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("ablation", __doc__, example="--seeds 0 --skip textbook")
    add_seeds_option(parser)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, metavar="NAME", help="train only these variants")
    parser.add_argument("--skip", nargs="+", choices=VARIANTS, default=[], metavar="NAME", help="leave these out")
    options = parser.parse_args(arguments)
    data, state = crossfit.load_data(), state_id()
    variants = variant_settings(params.load(Train), data)
    selected = set(options.only or variants) - set(options.skip)
    with storage.locked_folder(storage.ABLATION / state) as folder:
        trainings = variant_trainings(variants, list(dict.fromkeys(options.seeds)), folder)
        train_variants(data, [training for training in trainings if training.variant in selected], folder)
        report_ablation(data, trainings, title=params.load(Ingest).title, state=state)
