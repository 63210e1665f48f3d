"""Make the previous champion the champion again."""

from collections.abc import Sequence

from ..base import command
from ..registry import tracking
from ..registry.promotion import PREVIOUS, rollback
from ..registry.settings import model_name


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("rollback", __doc__, example='--why "complaints about version 7"')
    parser.add_argument("--why", required=True, metavar="TEXT", help="reason, stored as a tag of the version")
    parser.add_argument(
        "--to",
        default=PREVIOUS,
        metavar="VERSION",
        help="version to go back to: number or alias (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    store = tracking.connect()
    with tracking.store_errors(store.address):
        print(rollback(store, model_name(), options.to, options.why))
