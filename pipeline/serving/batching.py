"""Request batches: texts of different requests that wait at the same time are processed in one call.

Dynamic batching as in model servers (Olston et al. 2017, "TensorFlow-Serving"), but without a delay: a text that finds
a thread idle is processed at once; while all threads are busy, texts queue up, and the next idle thread takes them.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

BatchFunction = Callable[[Sequence[str]], Any]  # takes texts, returns a result for each, in their order


class QueueFullError(Exception):
    """The queue has no room for the texts of a request."""


@dataclass(frozen=True)
class _Job:
    function: BatchFunction
    texts: Sequence[str]
    results: "asyncio.Future[Sequence[Any]]"


class RequestBatcher:
    """A bounded queue of texts, which a few threads process in request batches.

    Parameters
    ----------
    threads : int
        Number of threads.
    batch_size : int
        Most texts in one call.
    max_waiting : int
        Most texts waiting for a thread.
    observe : callable
        Called with the number of texts and the seconds of each call that succeeded.
    """

    def __init__(
        self, *, threads: int, batch_size: int, max_waiting: int, observe: Callable[[int, float], None]
    ) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="inference")
        self._idle_threads, self._batch_size, self._max_waiting = threads, batch_size, max_waiting
        self._observe = observe
        self._jobs: deque[_Job] = deque()
        self.waiting = 0  # texts

    @property
    def full(self) -> bool:
        return self.waiting >= self._max_waiting

    async def run(self, function: BatchFunction, texts: Sequence[str]) -> list[Any]:
        """Return the results of `function` for texts, in their order.

        Parameters
        ----------
        function : callable
            Called in a thread, with these texts and perhaps others that wait for the same function.
        texts : sequence of str
            Any number; more than `batch_size` are processed in several calls.

        Raises
        ------
        QueueFullError
            The queue has no room for these texts. An empty queue accepts any number.
        """
        if self.waiting and self.waiting + len(texts) > self._max_waiting:
            raise QueueFullError
        loop = asyncio.get_running_loop()
        size = self._batch_size
        parts = [texts[start : start + size] for start in range(0, len(texts), size)]
        jobs = [_Job(function, part, loop.create_future()) for part in parts]
        self._jobs.extend(jobs)
        self.waiting += len(texts)
        self._start_threads()
        # gather() cancels the jobs that still wait if the request is cancelled.
        return [result for results in await asyncio.gather(*(job.results for job in jobs)) for result in results]

    def close(self) -> None:
        """Let the threads finish their current calls, then end them."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _start_threads(self) -> None:
        loop = asyncio.get_running_loop()
        while self._idle_threads and (jobs := self._next_batch()):
            self._idle_threads -= 1
            loop.run_in_executor(self._pool, self._process, jobs).add_done_callback(
                lambda processed, jobs=jobs: self._finish(jobs, processed)  # type: ignore[misc]
            )

    def _next_batch(self) -> list[_Job]:
        """Take the first job that was not cancelled, and those after it that fit into the same call."""
        batch: list[_Job] = []
        size = 0
        while self._jobs:
            job = self._jobs[0]
            if not job.results.done():  # done before it was started: cancelled with its request
                if batch and (job.function != batch[0].function or size + len(job.texts) > self._batch_size):
                    break
                batch.append(job)
                size += len(job.texts)
            self._jobs.popleft()
            self.waiting -= len(job.texts)
        return batch

    def _process(self, jobs: Sequence[_Job]) -> list[Sequence[Any] | Exception]:
        """Return the results or the error of each job; a text that fails does not affect the other jobs."""
        started = time.perf_counter()
        texts = [text for job in jobs for text in job.texts]
        try:
            results = jobs[0].function(texts)
        except Exception as error:  # noqa: BLE001 - raised again in the request that it belongs to
            return [error] if len(jobs) == 1 else [self._process([job])[0] for job in jobs]
        self._observe(len(texts), time.perf_counter() - started)
        parts, start = [], 0
        for job in jobs:
            parts.append(results[start : start + len(job.texts)])
            start += len(job.texts)
        return parts

    def _finish(self, jobs: Sequence[_Job], processed: "asyncio.Future[list[Sequence[Any] | Exception]]") -> None:
        self._idle_threads += 1
        for job, results in zip(jobs, processed.result(), strict=True):
            if job.results.done():  # cancelled while it was processed
                continue
            if isinstance(results, Exception):
                job.results.set_exception(results)
            else:
                job.results.set_result(results)
        self._start_threads()
