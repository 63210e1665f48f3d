"""What a reader did beyond the plain reading of a file: counted, and shown in the validation report."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Reading:
    """How one file was read.

    Parameters
    ----------
    dialect : str
        How the cells of a CSV are delimited and quoted, such as "comma, quotes are characters"; "" for other formats.
    encoding : str
        As Python names it; "" for a format without one.
    letters : str
        The most frequent letters beyond ASCII, which show whether the encoding is right; no text.
    changed : dict of str to int
        Number of cells or characters changed, by what was changed, such as "backslash escapes".
    skipped : dict of str to list of int
        Numbers of the rows left out, from 1, by reason, such as "blank".
    """

    dialect: str = ""
    encoding: str = ""
    letters: str = ""
    changed: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, list[int]] = field(default_factory=dict)

    def change(self, what: str, count: int) -> None:
        """Count changes.

        >>> reading = Reading()
        >>> reading.change("backslash escapes", 2)
        >>> reading.change("backslash escapes", 1)
        >>> reading.changed
        {'backslash escapes': 3}
        """
        if count:
            self.changed[what] = self.changed.get(what, 0) + int(count)

    def skip(self, reason: str, rows: list[int]) -> None:
        """Note rows that are left out."""
        if rows:
            self.skipped[reason] = sorted({*self.skipped.get(reason, ()), *rows})

    def as_json(self) -> dict[str, Any]:
        """Return everything that is not empty."""
        return {key: value for key, value in asdict(self).items() if value}
