"""The embedded model itself: its slots, its queue, its seeds, and what it leaves alone."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from schemas.catalog import Model
from schemas.chat import Chat, Message, Sampling, Text
from schemas.chunks import Delta, Finish, TextDelta
from schemas.errors import EngineUnavailable
from workers.engines.setup import SetupError

pytest.importorskip("xllamacpp")

from workers.engines.llama_cpp import LlamaCpp


def row(context_tokens: int = 2048, **options: Any) -> Model:
    return Model(
        id="m", engine="llama_cpp", context_tokens=context_tokens, max_output_tokens=2000, engine_options=options
    )


def chat(words: str = "Tell me a story.", **sampling: Any) -> Chat:
    return Chat((Message("user", (Text(words),)),), Sampling(**sampling))


@pytest.fixture
async def engine() -> AsyncIterator[LlamaCpp]:
    engine = LlamaCpp(row(n_parallel=2, queue=1), None)
    await engine.start()
    yield engine
    await engine.close()


async def deltas_of(engine: LlamaCpp, asked: Chat) -> list[Delta]:
    return [delta async for batch in engine.generate("job", asked) for delta in batch]


def text_of(deltas: list[Delta], choice: int = 0) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta) and delta.choice == choice)


async def test_several_jobs_at_once(engine: LlamaCpp) -> None:
    assert engine.slots == 2
    first, second = engine.generate("a", chat(max_output_tokens=200)), engine.generate("b", chat(max_output_tokens=200))
    async with aclosing(first), aclosing(second):
        assert await anext(first)
        assert await anext(second)


async def test_more_choices_than_slots(engine: LlamaCpp) -> None:
    deltas = await deltas_of(engine, chat(max_output_tokens=2, choices=3))
    assert sorted(delta.choice for delta in deltas if isinstance(delta, Finish)) == [0, 1, 2]


async def test_a_full_queue_refuses_and_is_free_again(engine: LlamaCpp) -> None:
    running = engine.generate("a", chat(max_output_tokens=300, choices=3))
    async with aclosing(running):
        assert await anext(running)
        with pytest.raises(EngineUnavailable) as raised:
            await deltas_of(engine, chat(max_output_tokens=1))
        assert raised.value.retry_after_s is not None
    async with asyncio.timeout(30):
        while True:
            try:
                assert await deltas_of(engine, chat(max_output_tokens=1))
            except EngineUnavailable:
                await asyncio.sleep(0.01)
            else:
                break


async def test_an_abort_is_heard_while_the_prompt_is_read() -> None:
    """Reading this prompt takes 30 s of processors; whoever leaves before the first token gives the only slot back."""
    engine = LlamaCpp(row(n_parallel=1, context_tokens=8192), None)
    await engine.start()
    job = asyncio.create_task(deltas_of(engine, chat("word " * 8000, max_output_tokens=1)))
    await worked(0.5)
    assert not job.done()
    job.cancel()
    await asyncio.gather(job, return_exceptions=True)
    left_at = time.process_time()
    await deltas_of(engine, chat("Hi", max_output_tokens=1))
    assert time.process_time() - left_at < 6
    await engine.close()


async def worked(cpu_s: float) -> None:
    """Returns once this process has computed for so long, which only the model makes it do."""
    begun = time.process_time()
    while time.process_time() - begun < cpu_s:  # noqa: ASYNC110 - a processor's clock has no event
        await asyncio.sleep(0.01)


async def test_the_same_seed_gives_the_same_text_and_choices_differ(engine: LlamaCpp) -> None:
    asked = chat(max_output_tokens=12, temperature=1.5, seed=7)
    assert text_of(await deltas_of(engine, asked)) == text_of(await deltas_of(engine, asked))
    both = await deltas_of(engine, chat(max_output_tokens=12, temperature=1.5, seed=7, choices=2))
    assert text_of(both, 0) != text_of(both, 1)


async def test_stop_is_left_out_of_the_text_and_named(engine: LlamaCpp) -> None:
    asked = chat("Count: one, two, three, four.", max_output_tokens=40, temperature=0.0, stop=("e",))
    deltas = await deltas_of(engine, asked)
    assert "e" not in text_of(deltas)
    assert Finish("stop", stop_sequence="e") in deltas


async def test_it_leaves_the_process_its_signals() -> None:
    loop, heard = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, heard.set)
    engine = LlamaCpp(row(), None)
    await engine.start()
    signal.raise_signal(signal.SIGTERM)
    await asyncio.wait_for(heard.wait(), 5)
    assert await deltas_of(engine, chat(max_output_tokens=1))
    await engine.close()
    loop.remove_signal_handler(signal.SIGTERM)


async def test_an_engine_that_was_not_started_says_so() -> None:
    unstarted = LlamaCpp(row(), None)
    with pytest.raises(EngineUnavailable):
        await deltas_of(unstarted, chat())
    await unstarted.close()


async def test_a_file_that_is_no_model_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "no.gguf"
    path.write_bytes(b"nothing")
    engine = LlamaCpp(row(model_path=str(path)), None)
    with pytest.raises(SetupError, match=r"no\.gguf"):
        await engine.start()
    await engine.close()


@pytest.mark.parametrize("options", [{"n_parallel": 0}, {"parallel": 2}, {"threads": "many"}])
def test_a_wrong_option_stops_the_start(options: dict[str, Any]) -> None:
    with pytest.raises(SetupError, match="engine_options"):
        LlamaCpp(row(**options), None)
