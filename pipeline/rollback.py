"""Rollback: the previous champion into service again: `python -m pipeline.rollback --why "..." [--to VERSION]`."""

from . import params, promote, stage, tracking


def main() -> None:
    options = promote.parser("rollback", "Make the previous champion the champion again.")
    options.add_argument("--to", default=promote.PREVIOUS, metavar="VERSION", help="another version than the previous")
    given = options.parse_args()
    store = tracking.connect()
    with tracking.store_errors(store.address):
        print(promote.rollback(store, params.model_name(), given.to, given.why))


if __name__ == "__main__":
    stage.run("rollback", main)
