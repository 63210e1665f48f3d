"""The pipeline's exception, and what messages may show of the user's data and addresses."""

import re

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # line breaks among them, and escapes of terminals
MAX_NAME_LENGTH = 60  # characters of a column's or class's name that messages show: a longer one may be a text


class PipelineError(Exception):
    """An error that the user can fix; `command.run` prints it without a traceback.

    Parameters
    ----------
    sentence : str
        What was wrong, where (file, row, column, parameter), and what to do, for a terminal.
    redacted : str
        The same for reports and logs, where the sentence quotes cells of a file, which may be texts; empty if it
        quotes none.
    """

    def __init__(self, sentence: str, redacted: str = "") -> None:
        super().__init__(sentence)
        self.redacted = redacted or sentence


def display_name(name: str) -> str:
    """Return a name from the user's data for a message, or only its length where it may be a text.

    >>> display_name("positive")
    'positive'
    >>> display_name("x" * 1000)
    '(a name of 1,000 characters)'
    """
    return on_one_line(name) if len(name) <= MAX_NAME_LENGTH else f"(a name of {len(name):,} characters)"


def on_one_line(name: str) -> str:
    r"""Return a name that a stranger chose with its control characters spelled out, for a list or a terminal.

    >>> print(on_one_line("may\r.csv"))
    may\r.csv
    """
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), name)


def without_credentials(address: str) -> str:
    """Return an address, or a message that contains addresses, without user names and passwords.

    >>> without_credentials("https://me:secret@host/store")
    'https://***@host/store'
    """
    return re.sub(r"(?<=://)\S*@", "***@", address)
