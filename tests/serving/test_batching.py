"""Request batches: waiting texts are processed together and in order, and the queue is bounded."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.serving.batching import BatchFunction, QueueFullError, RequestBatcher


class Work:
    """Functions of texts, which record their calls; `lengths` waits while `may_return` is cleared."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.may_return = threading.Event()
        self.may_return.set()

    def lengths(self, texts: Sequence[str]) -> list[int]:
        self.calls.append(list(texts))
        assert self.may_return.wait(10)
        if "bad" in texts:
            raise ValueError("bad")
        return [len(text) for text in texts]

    def upper(self, texts: Sequence[str]) -> list[str]:
        self.calls.append(list(texts))
        return [text.upper() for text in texts]


def make_batcher(**changes: Any) -> RequestBatcher:
    options = {"threads": 1, "batch_size": 4, "max_waiting": 10, "observe": lambda texts, seconds: None} | changes
    return RequestBatcher(**options)


def run_while_busy(
    batcher: RequestBatcher, work: Work, requests: Sequence[tuple[BatchFunction, list[str]]]
) -> list[Any]:
    """Return the results or exceptions of requests; the first keeps the only thread busy until all have arrived."""

    async def main() -> list[Any]:
        work.may_return.clear()
        tasks = [asyncio.create_task(batcher.run(function, texts)) for function, texts in requests]
        await asyncio.sleep(0.05)
        work.may_return.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(main())


def test_waiting_texts_are_one_call() -> None:
    work, sizes = Work(), []
    batcher = make_batcher(observe=lambda texts, seconds: sizes.append(texts))
    requests = [(work.lengths, texts) for texts in (["a"], ["bb", "ccc"], ["dddd"])]
    assert run_while_busy(batcher, work, requests) == [[1], [2, 3], [4]]
    assert work.calls == [["a"], ["bb", "ccc", "dddd"]]  # the first came alone and did not wait
    assert sizes == [1, 3]
    assert batcher.waiting == 0


def test_large_request_is_split_in_order() -> None:
    work, batcher = Work(), make_batcher(max_waiting=3)  # an empty queue accepts a request larger than itself
    assert asyncio.run(batcher.run(work.lengths, ["x" * n for n in range(9)])) == list(range(9))
    assert [len(call) for call in work.calls] == [4, 4, 1]


def test_different_functions_are_different_calls() -> None:
    work = Work()
    requests = [(work.lengths, ["a"]), (work.lengths, ["bb"]), (work.upper, ["c", "d"]), (work.lengths, ["eee"])]
    assert run_while_busy(make_batcher(), work, requests) == [[1], [2], ["C", "D"], [3]]
    assert work.calls == [["a"], ["bb"], ["c", "d"], ["eee"]]


def test_full_queue_refuses_until_it_has_room() -> None:
    work, batcher = Work(), make_batcher(max_waiting=2)
    work.may_return.clear()

    async def main() -> None:
        in_progress = asyncio.create_task(batcher.run(work.lengths, ["in progress"]))
        waiting = asyncio.create_task(batcher.run(work.lengths, ["a", "b"]))
        await asyncio.sleep(0.05)
        assert batcher.full
        with pytest.raises(QueueFullError):
            await batcher.run(work.lengths, ["c"])
        work.may_return.set()
        await asyncio.gather(in_progress, waiting)
        assert not batcher.full
        assert await batcher.run(work.lengths, ["c"]) == [1]

    asyncio.run(main())


def test_cancelled_request_is_not_processed() -> None:
    work, batcher = Work(), make_batcher()
    work.may_return.clear()

    async def main() -> None:
        in_progress = asyncio.create_task(batcher.run(work.lengths, ["in progress"]))
        waiting = asyncio.create_task(batcher.run(work.lengths, ["cancelled"]))
        last = asyncio.create_task(batcher.run(work.lengths, ["c"]))
        await asyncio.sleep(0.05)
        in_progress.cancel()
        waiting.cancel()
        await asyncio.sleep(0)
        work.may_return.set()
        assert await last == [1]

    asyncio.run(main())
    assert work.calls == [["in progress"], ["c"]]


def test_failing_text_does_not_affect_other_requests() -> None:
    work = Work()
    requests = [(work.lengths, [text]) for text in ("first", "bad", "fine")]
    first, bad, fine = run_while_busy(make_batcher(), work, requests)
    assert (first, fine) == ([5], [4])
    assert isinstance(bad, ValueError)


def test_threads_run_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=10)

    def wait_for_both(texts: Sequence[str]) -> list[int]:
        return [both.wait() for _ in texts]

    async def main() -> list[list[int]]:
        batcher = make_batcher(threads=2)
        return await asyncio.gather(batcher.run(wait_for_both, ["a"]), batcher.run(wait_for_both, ["b"]))

    assert sorted(asyncio.run(main())) == [[0], [1]]


def test_exactly_full_batch_is_one_call() -> None:
    work = Work()
    run_while_busy(make_batcher(), work, [(work.lengths, texts) for texts in (["a"], ["b", "c"], ["d", "e"])])
    assert work.calls == [["a"], ["b", "c", "d", "e"]]
