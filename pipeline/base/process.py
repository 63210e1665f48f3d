"""Process: run a function in a process of its own, for what a library never gives back.

XLA keeps what it compiled until the process ends, some 400 MB a network: after two dozen networks, the system gives it
no more.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from .errors import PipelineError

T = TypeVar("T")


def apart(work: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a new process, which ends with this one.

    Parameters
    ----------
    work : callable
        A function of a module; its arguments and what it returns are pickled.
    arguments
        Its arguments.

    Raises
    ------
    PipelineError
        The function raised it, or the process ended before it returned.
    """
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may stop
    here, there = context.Pipe()
    process = context.Process(target=_tell, args=(there,), daemon=True)
    process.start()
    there.close()  # else its end is never seen
    try:
        here.send((work, arguments))  # not as arguments of the process: its start waits for ever for one that dies
        said = here.recv()
    except (EOFError, OSError):
        process.join()
        raise PipelineError(
            f"the process that was to do the work ended with exit code {process.exitcode}; its last lines stand above"
        ) from None
    process.join()
    if isinstance(said, PipelineError):
        raise said
    result: T = said
    return result


def _tell(there: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to both: the first process says what happened
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work, arguments = there.recv()
    try:
        said = work(*arguments)
    except PipelineError as error:
        said = error
    there.send(said)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
