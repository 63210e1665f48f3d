"""Batching: what waits goes together, in order; a lone text goes at once; a queue that is full says so."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from pipeline.serving.batching import Batcher, QueueFullError


class Model:
    """Gives the length of each text, when it is let; keeps what it was called with."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.let = threading.Event()
        self.let.set()

    def lengths(self, texts: Sequence[str]) -> list[int]:
        self.calls.append(list(texts))
        assert self.let.wait(10)
        if "bad" in texts:
            raise ValueError("bad")
        return [len(text) for text in texts]

    def upper(self, texts: Sequence[str]) -> list[str]:
        self.calls.append(list(texts))
        return [text.upper() for text in texts]


def batcher(**changes: Any) -> Batcher:
    seen: list[int] = []
    options = {"threads": 1, "batch": 4, "waiting": 10, "observe": lambda texts, seconds: seen.append(texts)} | changes
    made = Batcher(**options)
    made.seen = seen  # type: ignore[attr-defined]
    return made


def test_what_waits_is_one_call_and_each_gets_its_own_answers() -> None:
    model, queue = Model(), batcher()
    model.let.clear()

    async def main() -> list[list[int]]:
        asked = [asyncio.create_task(queue.run(model.lengths, texts)) for texts in (["a"], ["bb", "ccc"], ["dddd"])]
        await asyncio.sleep(0.05)
        model.let.set()
        return await asyncio.gather(*asked)

    assert asyncio.run(main()) == [[1], [2, 3], [4]]
    assert model.calls == [["a"], ["bb", "ccc", "dddd"]]  # the first came alone and did not wait
    assert queue.seen == [1, 3]  # type: ignore[attr-defined]
    assert queue.waiting == 0


def test_more_texts_than_a_batch_holds_are_several_calls_in_order() -> None:
    model, queue = Model(), batcher(waiting=3)  # a request alone may be larger than the queue
    assert asyncio.run(queue.run(model.lengths, ["x" * n for n in range(9)])) == list(range(9))
    assert [len(call) for call in model.calls] == [4, 4, 1]


def test_different_work_is_never_one_call() -> None:
    model, queue = Model(), batcher()
    model.let.clear()

    async def main() -> list[Any]:
        asked = [
            asyncio.create_task(queue.run(model.lengths, ["a"])),
            asyncio.create_task(queue.run(model.lengths, ["bb"])),
            asyncio.create_task(queue.run(model.upper, ["c", "d"])),
            asyncio.create_task(queue.run(model.lengths, ["eee"])),
        ]
        await asyncio.sleep(0.05)
        model.let.set()
        return await asyncio.gather(*asked)

    assert asyncio.run(main()) == [[1], [2], ["C", "D"], [3]]
    assert model.calls == [["a"], ["bb"], ["c", "d"], ["eee"]]


def test_a_full_queue_takes_no_more_and_empties_again() -> None:
    model, queue = Model(), batcher(waiting=2)
    model.let.clear()

    async def main() -> None:
        first = asyncio.create_task(queue.run(model.lengths, ["at work"]))
        second = asyncio.create_task(queue.run(model.lengths, ["a", "b"]))
        await asyncio.sleep(0.05)
        assert queue.full
        with pytest.raises(QueueFullError):
            await queue.run(model.lengths, ["c"])
        model.let.set()
        await asyncio.gather(first, second)
        assert not queue.full
        assert await queue.run(model.lengths, ["c"]) == [1]

    asyncio.run(main())


def test_who_gives_up_is_not_predicted() -> None:
    model, queue = Model(), batcher()
    model.let.clear()

    async def main() -> None:
        first = asyncio.create_task(queue.run(model.lengths, ["at work"]))
        second = asyncio.create_task(queue.run(model.lengths, ["given up"]))
        third = asyncio.create_task(queue.run(model.lengths, ["c"]))
        await asyncio.sleep(0.05)
        first.cancel()
        second.cancel()
        await asyncio.sleep(0)
        model.let.set()
        assert await third == [1]

    asyncio.run(main())
    assert model.calls == [["at work"], ["c"]]


def test_a_text_that_the_work_fails_on_spoils_no_other() -> None:
    model, queue = Model(), batcher()
    model.let.clear()

    async def main() -> list[Any]:
        asked = [asyncio.create_task(queue.run(model.lengths, [text])) for text in ("first", "bad", "fine")]
        await asyncio.sleep(0.05)
        model.let.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    first, bad, fine = asyncio.run(main())
    assert (first, fine) == ([5], [4])
    assert isinstance(bad, ValueError)


def test_threads_work_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=10)

    def together(texts: Sequence[str]) -> list[int]:
        return [both.wait() for _ in texts]

    async def main() -> list[list[int]]:
        queue = batcher(threads=2)
        return await asyncio.gather(queue.run(together, ["a"]), queue.run(together, ["b"]))

    assert sorted(asyncio.run(main())) == [[0], [1]]


def test_what_fills_a_batch_to_the_last_text_is_one_call() -> None:
    model, queue = Model(), batcher()
    model.let.clear()

    async def main() -> None:
        asked = [asyncio.create_task(queue.run(model.lengths, texts)) for texts in (["a"], ["b", "c"], ["d", "e"])]
        await asyncio.sleep(0.05)
        model.let.set()
        await asyncio.gather(*asked)

    asyncio.run(main())
    assert model.calls == [["a"], ["b", "c", "d", "e"]]
