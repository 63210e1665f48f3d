"""Make a registered version the champion, whatever the gate decided."""

from collections.abc import Sequence

from ..base import command
from ..registry import tracking
from ..registry.promotion import promote
from ..registry.settings import model_name


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser("promote", __doc__, example='challenger --why "checked by hand"')
    parser.add_argument("version", help="version number, or an alias such as challenger")
    parser.add_argument("--why", required=True, metavar="TEXT", help="reason, stored as a tag of the version")
    options = parser.parse_args(arguments)
    store = tracking.connect()
    with tracking.store_errors(store.address):
        print(promote(store, model_name(), options.version, options.why))
