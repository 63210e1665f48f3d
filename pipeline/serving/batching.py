"""Batching: texts that wait at the same time are predicted together; one that comes alone never waits.

Dynamic batching as model servers do it (Olston et al. 2017, "TensorFlow-Serving"), but without a delay: while all
threads are at work, what comes in is gathered, and the next thread that is free takes it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

Work = Callable[[Sequence[str]], Any]  # texts in, an answer for each of them out


class QueueFullError(Exception):
    """More texts wait than the queue holds."""


@dataclass(frozen=True)
class _Job:
    work: Work
    texts: Sequence[str]
    answers: "asyncio.Future[Sequence[Any]]"


class Batcher:
    """A bounded queue of texts before a few threads.

    Parameters
    ----------
    threads : int
        Threads that work at the same time.
    batch : int
        Most texts of one call.
    waiting : int
        Most texts that wait for a thread.
    observe : callable
        Told of every call: the number of its texts, and the seconds that it took.
    """

    def __init__(self, *, threads: int, batch: int, waiting: int, observe: Callable[[int, float], None]) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="inference")
        self._idle, self._batch, self._most, self._observe = threads, batch, waiting, observe
        self._jobs: deque[_Job] = deque()
        self.waiting = 0  # texts

    @property
    def full(self) -> bool:
        return self.waiting >= self._most

    async def run(self, work: Work, texts: Sequence[str]) -> list[Any]:
        """The answers of `work` to texts, in their order.

        Parameters
        ----------
        work : callable
            Called in a thread, with these texts or with others beside them that wait for the same `work`.
        texts : sequence of str
            Any number; more than a batch holds are several calls.

        Raises
        ------
        BusyError
            The queue has no room for these texts. A request larger than the queue is taken where nothing waits.
        """
        if self.waiting and self.waiting + len(texts) > self._most:
            raise QueueFullError
        loop = asyncio.get_running_loop()
        parts = [texts[start : start + self._batch] for start in range(0, len(texts), self._batch)]
        jobs = [_Job(work, part, loop.create_future()) for part in parts]
        self._jobs.extend(jobs)
        self.waiting += len(texts)
        self._start()
        # Gathered, so that a caller who gives up cancels what still waits.
        return [answer for answers in await asyncio.gather(*(job.answers for job in jobs)) for answer in answers]

    def close(self) -> None:
        """Let the threads end once they have done what they are at."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        while self._idle and (jobs := self._take()):
            self._idle -= 1
            loop.run_in_executor(self._pool, self._call, jobs).add_done_callback(
                lambda done, jobs=jobs: self._finish(jobs, done)  # type: ignore[misc]
            )

    def _take(self) -> list[_Job]:
        """The first job that is still wanted, and those after it that fit into the same call."""
        taken: list[_Job] = []
        size = 0
        while self._jobs:
            job = self._jobs[0]
            if not job.answers.done():  # a caller who gave up has cancelled it
                if taken and (job.work != taken[0].work or size + len(job.texts) > self._batch):
                    break
                taken.append(job)
                size += len(job.texts)
            self._jobs.popleft()
            self.waiting -= len(job.texts)
        return taken

    def _call(self, jobs: Sequence[_Job]) -> list[Sequence[Any] | Exception]:
        """What each job gets; a text that the work fails on spoils no other job of its batch."""
        began = time.perf_counter()
        texts = [text for job in jobs for text in job.texts]
        try:
            answers = jobs[0].work(texts)
        except Exception as error:  # noqa: BLE001  # it is the caller's
            return [error] if len(jobs) == 1 else [self._call([job])[0] for job in jobs]
        self._observe(len(texts), time.perf_counter() - began)
        parts, start = [], 0
        for job in jobs:
            parts.append(answers[start : start + len(job.texts)])
            start += len(job.texts)
        return parts

    def _finish(self, jobs: Sequence[_Job], done: "asyncio.Future[list[Sequence[Any] | Exception]]") -> None:
        self._idle += 1
        for job, answers in zip(jobs, done.result(), strict=True):
            if job.answers.done():
                continue
            if isinstance(answers, Exception):
                job.answers.set_exception(answers)
            else:
                job.answers.set_result(answers)
        self._start()
