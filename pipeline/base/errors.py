"""Errors: one sentence for the user, and what messages may show of the user's data and addresses."""

import re

LONGEST_NAME = 60  # characters of a column's or class's name that messages show: a longer one may be a text


class PipelineError(Exception):
    """What was wrong, where (file, row, column, parameter), and what to do: one sentence for the user.

    Parameters
    ----------
    sentence : str
        For the user, at a terminal.
    kept : str
        For files that are kept, where the sentence quotes cells of a file, which may be texts; empty for the same.
    """

    def __init__(self, sentence: str, kept: str = "") -> None:
        super().__init__(sentence)
        self.kept = kept or sentence


def display_name(name: str) -> str:
    """Return a name from the user's data as messages show it, or only its length where it may be a text.

    >>> display_name("positive")
    'positive'
    >>> display_name("x" * 1000)
    '(a name of 1,000 characters)'
    """
    return name if len(name) <= LONGEST_NAME else f"(a name of {len(name):,} characters)"


def without_credentials(address: str) -> str:
    """Return an address, or a message that contains some, without user names and passwords.

    >>> without_credentials("https://me:secret@host/store")
    'https://***@host/store'
    """
    return re.sub(r"(?<=://)\S*@", "***@", address)
