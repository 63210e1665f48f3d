"""Privacy, how to use the model, and how to reproduce it."""

import json
import shlex
from itertools import chain

from ...base.errors import display_name
from ...base.markdown import bullets, fenced, pipe_table
from ...base.modalities import modality
from ...inference.manifest import columns
from ..facts import Facts


def privacy(facts: Facts) -> list[str]:
    """Return what is masked, where texts are stored, and the differences between groups of people."""
    stored = ", and n-grams that occur in two training rows or more" if "n-grams" in facts.num_weights else ""
    held = ""
    if facts.tokenizer:
        units = f"{facts.tokenizer['units']:,} single units of the training texts{stored}"
        held = f" The model folder holds {units}. Names can be among them."
    points = [
        "Web and e-mail addresses, user names, and phone, card, identity and IP numbers are masked before training. "
        "**Names in running text stay.**",
        "Raw texts are in `data/ingest/`, cleaned texts in `data/clean/`, and both in DVC's cache and remote: protect "
        "these like the texts themselves. To delete a text, use `python -m pipeline forget`.",
        f"This card, logs, reports, metrics and the MLflow store hold no texts.{held}",
    ]
    for test, change in (("names", "texts are signed with different names"), ("gender", '"he" and "she" are swapped')):
        gaps = facts.behaviour.get(test, {}).get("gaps", {})
        if gaps:
            largest = max(group["gap"] for group in gaps.values())
            points.append(
                f"When {change}, the mean probability of a class differs by at most {100 * largest:.1f} points between "
                "the groups."
            )
    points.append(
        "Whether the model treats groups of people alike was not tested further: test the groups that matter to you."
    )
    return [bullets(points)]


def usage(facts: Facts, version: str | None) -> list[str]:
    """Return the commands that predict."""
    named, table = _example_input(facts)
    model = f"models:/{facts.name}" + (f"/{version}" if version else "@champion")
    return [
        "To label each row of a CSV file (the options name the columns of the training file, and may be left out):",
        fenced(f"python -m pipeline predict INPUT.csv OUTPUT.csv {named} --model {version or 'champion'}", "sh"),
        "From Python, in any folder, with `MLFLOW_TRACKING_URI` set to the tracking store:",
        fenced(
            "import mlflow\nimport pandas as pd\n\n"
            f'model = mlflow.pyfunc.load_model("{model}")\n'
            f"model.predict(pd.DataFrame({table}))",
            "python",
        ),
        "The result has the columns `predicted_label`, `confidence` and `p_<class>` for each class. "
        + ("`known_words` counts the words that the training texts have too. " if "text" in facts.inputs else "")
        + "Altered files are refused, and no file is a pickle.",
    ]


def _example_input(facts: Facts) -> tuple[str, str]:
    """Return the columns of an example for the command line and for Python."""
    trained = columns(facts.manifest)
    options = ["--no-header"] if any(isinstance(column, int) for column in chain(*trained.values())) else []
    for name in facts.inputs:
        option = "--text-column " if name == "text" else f"--column {name}="
        options += [option + shlex.quote(display_name(str(column))) for column in trained[name]]
    if facts.inputs == ["text"]:
        return " ".join(options), '{"text": ["The text to label."]}'
    examples = {name: [modality(name).examples[0]] for name in facts.inputs}
    return " ".join(options), json.dumps(examples, ensure_ascii=False)


def reproduction(facts: Facts, commit: str | None, uncommitted: bool) -> list[str]:
    """Return the commands that make the state again, and the digests to compare."""
    blocks, commands = [], ["make env"]
    if commit and not uncommitted:
        commands = [f"git checkout {commit}", *commands]
    elif facts.dvc:
        made_on = f"Made on git commit `{commit}` with uncommitted changes. " if commit else ""
        blocks += [
            f"{made_on}The first commit that this command prints holds this state:",
            fenced(f"git log --reverse --format=%H -S {facts.dvc} -- dvc.lock", "sh"),
        ]
    commands += [
        "dvc pull    # the outputs, from a DVC remote if there is one; or",
        "dvc repro   # run all stages again",
    ]
    rows = [
        ("state, in `data/train/model/model.json`", f"`{facts.manifest['state']}`"),
        *((f"SHA-256 of `{name}`", f"`{digest}`") for name, digest in facts.manifest["sha256"].items()),
        ("SHA-256 of `requirements.lock`", f"`{facts.lock}`"),
        *([("DVC's digest of the model", f"`{facts.dvc}`")] if facts.dvc else []),
    ]
    return [
        *blocks,
        fenced("\n".join(commands), "sh"),
        "The same data, parameters, code and lock on the same kind of machine give the same bytes and these digests:",
        pipe_table(("", ""), rows),
    ]
