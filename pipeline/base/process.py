"""Worker processes: for work whose memory must be given back, and for work on several cores.

XLA keeps what it compiled until its process ends, some 400 MB for each network: two dozen networks in one process
exhaust the system's memory.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, TypeVar

from .errors import PipelineError

T = TypeVar("T")


def run_in_process(work: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a new process, and wait for what it returns.

    Parameters
    ----------
    work : callable
        A function of a module; its arguments and what it returns are pickled.
    arguments
        Its arguments.

    Raises
    ------
    PipelineError
        The process ended before the function returned. An exception that the function raises is raised here.
    """
    with worker_pool(1) as pool:
        return pool.submit(work, *arguments).result()


@contextmanager
def worker_pool(
    count: int, initializer: Callable[..., object] | None = None, *arguments: Any
) -> Iterator[ProcessPoolExecutor]:
    """Give an executor of new processes, which end with the `with` block, or with this process, even if it is killed.

    Parameters
    ----------
    count : int
        Most processes; one is started with each call submitted, until there are so many.
    initializer : callable, optional
        A function that each process calls first.
    arguments
        Its arguments, small: they are sent before the process is known to live.

    Raises
    ------
    PipelineError
        A process ended before its work was done.
    """
    context = _RecordingContext()
    executor = ProcessPoolExecutor(count, context, _start_worker, (initializer, arguments))
    try:
        yield executor
    except BrokenProcessPool:
        if sys.version_info < (3, 11, 5):  # where arguments larger than a pipe, sent to a dead process, block for ever
            executor._call_queue._reader.close()  # type: ignore[attr-defined]
        executor.shutdown()
        raise PipelineError(_cause_of_end([worker.exitcode for worker in context.workers])) from None
    except BaseException:
        for worker in context.workers:
            worker.kill()  # the executor would let it finish: Ctrl-C would wait for a training to end
        raise
    finally:
        executor.shutdown(cancel_futures=True)


class _RecordingContext(SpawnContext):
    """Start processes afresh (a fork of a process with threads may hang), and record them.

    An executor does not say with which code a process ended, nor can it end one (before Python 3.14).
    """

    def __init__(self) -> None:
        super().__init__()
        self.workers: list[SpawnProcess] = []

    def Process(self, *arguments: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        worker = SpawnProcess(*arguments, **options)
        self.workers.append(worker)
        return worker


def _cause_of_end(codes: list[int | None]) -> str:
    """Return why a pool broke, by the exit codes of its processes; the executor itself ends the others by SIGTERM.

    >>> _cause_of_end([-15, 9])
    'worker process exited with code 9; its last output is above'
    >>> _cause_of_end([-9])
    'worker process was ended by SIGKILL; it may have run out of memory'
    """
    code = next((code for code in codes if code not in (None, -signal.SIGTERM)), -signal.SIGTERM)
    if code is None or code >= 0:
        return f"worker process exited with code {code}; its last output is above"
    hint = "; it may have run out of memory" if -code == signal.SIGKILL else ""
    return f"worker process was ended by {signal.Signals(-code).name}{hint}"


def _start_worker(initializer: Callable[..., object] | None, arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes: the parent reports it and ends them
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if initializer is not None:
        initializer(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
