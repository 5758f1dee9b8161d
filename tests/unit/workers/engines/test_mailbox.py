"""From threads to the event loop, without losing or reordering anything."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from workers.engines.mailbox import End, Mailbox


async def test_all_that_several_threads_put_is_taken_in_each_ones_order() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    sources, each = 4, 2000

    def fill(source: int) -> None:
        for number in range(each):
            mailbox.put(source, b"%d" % number)
        mailbox.put(source, End(None))

    taken: dict[int, list[bytes]] = {source: [] for source in range(sources)}
    running = sources
    with ThreadPoolExecutor(sources) as threads:
        for source in range(sources):
            threads.submit(fill, source)
        while running:
            for source, content in await mailbox.take():
                if isinstance(content, End):
                    running -= 1
                else:
                    taken[source].append(content)
    assert taken == {source: [b"%d" % number for number in range(each)] for source in range(sources)}


async def test_what_is_ready_together_is_taken_together() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    for number in range(3):
        mailbox.put(0, b"%d" % number)
    assert await mailbox.take() == [(0, b"0"), (0, b"1"), (0, b"2")]


async def test_a_source_is_told_that_the_mailbox_was_closed_and_its_end_still_arrives() -> None:
    mailbox = Mailbox(asyncio.get_running_loop())
    assert mailbox.put(0, b"a") is False
    mailbox.close()
    assert mailbox.put(0, b"b") is True
    mailbox.put(0, End(None))
    assert await mailbox.take() == [(0, b"a"), (0, End(None))]
