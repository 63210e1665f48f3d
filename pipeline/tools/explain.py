"""Explain: show what each word of a text adds to each class."""

import json
import os
import sys
from collections.abc import Sequence

from ..base import command
from ..base.errors import PipelineError
from ..base.files import atomic
from ..evaluation.explanation import Explainer
from ..registry.models import open_model
from ..reports.explanation import explanation_page


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("explain", __doc__, example='"not bad at all" --html page.html')
    parser.add_argument("text", help="the text, or - for standard input")
    parser.add_argument(
        "--model",
        type=command.model,
        default="champion",
        help="alias or version of the model, or its folder (default: champion)",
    )
    parser.add_argument(
        "--html", type=command.path, metavar="FILE", help="write a page with the words coloured, instead of JSON"
    )
    options = parser.parse_args(arguments)
    try:
        given = sys.stdin.buffer.read() if options.text == "-" else os.fsencode(options.text)
        text = given.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PipelineError("the text is not UTF-8; convert it, such as with `iconv -t utf-8`") from error
    with open_model(options.model) as model:
        explanation = Explainer.load(model.folder).explain(text)
    if not explanation.text:
        raise PipelineError("the text is empty: nothing is left of it after cleaning")
    if explanation.known_words == 0:
        print("explain: no word of it occurs in the training texts: take the label with caution", file=sys.stderr)
    if options.html is None:
        sys.stdout.buffer.write(json.dumps(explanation.to_dict(), ensure_ascii=False, indent=1).encode() + b"\n")
        return
    try:
        with atomic(options.html.resolve()) as temporary:  # what a link leads to
            temporary.write_text(explanation_page(explanation), encoding="utf-8")
    except OSError as error:
        raise PipelineError(f"{options.html} cannot be written: {error.strerror}") from error
    print(f"{explanation.classes[explanation.best]} {explanation.probabilities.max():.1%}: {options.html}")
