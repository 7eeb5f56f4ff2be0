from __future__ import annotations

import asyncio
import threading

import pytest

from nodes.sandbox.thread_pool import Pool


def test_results_and_errors_come_back() -> None:
    async def use() -> list[int]:
        pool = Pool(2, name="test")
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 // 0)
        found = await asyncio.gather(*(pool.run(lambda n=n: n * n) for n in range(20)))
        pool.close(5)
        return found

    assert asyncio.run(use()) == [n * n for n in range(20)]


def test_no_more_than_its_threads_work_at_a_time() -> None:
    async def use() -> int:
        pool, meet = Pool(2, name="test"), threading.Barrier(2, timeout=10)
        await asyncio.gather(*(pool.run(meet.wait) for _ in range(6)))
        names = {thread.name for thread in threading.enumerate() if thread.name.startswith("wan27-sandbox-test")}
        pool.close(5)
        return len(names)

    assert asyncio.run(use()) == 2


def test_closing_stops_work_in_hand_and_begins_no_other() -> None:
    begun: list[int] = []

    async def use() -> None:
        pool, inside = Pool(1, name="test"), threading.Event()

        def work() -> None:
            begun.append(1)
            inside.set()
            while not pool.cancelled():
                pass

        waiting = [asyncio.ensure_future(pool.run(work)) for _ in range(3)]
        await asyncio.sleep(0)
        await asyncio.get_running_loop().run_in_executor(None, inside.wait, 10)
        pool.close(10)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(use())
    assert begun == [1]
    assert not any(thread.name.startswith("wan27-sandbox-test") for thread in threading.enumerate())
