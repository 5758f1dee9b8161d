import asyncio
import os
import sys
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from storage.object_folder import ObjectFolder
from storage.object_storage import open_objects
from storage.settings import StorageSettings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def objects(folder: Path) -> ObjectFolder:
    return ObjectFolder(folder)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_a_put_that_fails_leaves_what_was_there_and_no_draft(objects: ObjectFolder, folder: Path) -> None:
    await objects.put("a/b", b"whole")
    with pytest.raises(TypeError):
        await objects.put("a/b", "no bytes")  # type: ignore[arg-type]
    assert await objects.get("a/b") == b"whole"
    assert files(folder) == ["a/b"]


async def test_readers_see_one_body_or_the_other_and_never_half(objects: ObjectFolder) -> None:
    bodies = [bytes([i]) * 200_000 for i in range(8)]
    await objects.put("k", bodies[0])

    async def read() -> None:
        for _ in range(40):
            assert await objects.get("k") in bodies

    await asyncio.gather(read(), read(), *[objects.put("k", body) for body in bodies])


async def test_folders_go_with_the_last_object_in_them(objects: ObjectFolder, folder: Path) -> None:
    for key in ("media/acme/job_1/a", "media/acme/job_1/b", "media/other/job_2/a"):
        await objects.put(key, b"x", content_type="text/x-odd")
    await objects.delete("media/acme/job_1/a")
    assert files(folder / "media") == ["acme/job_1/b", "other/job_2/a"]
    await objects.delete("media/acme/job_1/b")
    assert [path.name for path in (folder / "media").iterdir()] == ["other"]
    await objects.delete("media/other/job_2/a")
    assert files(folder) == []
    assert not (folder / "media").exists()


async def test_what_is_put_while_folders_are_removed_is_there(objects: ObjectFolder) -> None:
    async def come_and_go(number: int) -> None:
        for _ in range(50):
            await objects.put_all({f"jobs/acme/{number}": b"x"})
            assert await objects.get(f"jobs/acme/{number}") == b"x"
            await objects.delete(f"jobs/acme/{number}")

    await asyncio.gather(*[come_and_go(number) for number in range(6)])


async def test_a_start_deletes_what_dead_processes_left_and_nothing_that_is_written(folder: Path) -> None:
    drafts = folder / ".drafts"
    drafts.mkdir(parents=True)
    for name, age_s in (("old", 90_000), ("new", 80_000)):
        (drafts / name).write_bytes(b"half")
        os.utime(drafts / name, (time.time() - age_s,) * 2)
    async with open_objects(StorageSettings(objects=str(folder))):
        assert [path.name for path in drafts.iterdir()] == ["new"]


HALF = """
import asyncio, sys
from pathlib import Path
from storage.object_folder import ObjectFolder

async def pieces():
    yield b"x" * 1_000_000
    print("half", flush=True)
    await asyncio.Event().wait()

asyncio.run(ObjectFolder(Path(sys.argv[1])).put_stream("media/a/j/v.mp4", pieces()))
"""


async def test_of_a_put_whose_process_is_killed_nothing_can_be_read(objects: ObjectFolder, folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HALF, str(folder), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"half\n"
    process.kill()
    await process.wait()
    assert len(list((folder / ".drafts").iterdir())) == 1
    assert await objects.groups("") == []
    with pytest.raises(FileNotFoundError):
        await objects.get("media/a/j/v.mp4")


async def test_every_process_of_a_folder_signs_alike(folder: Path) -> None:
    settings = StorageSettings(objects=str(folder), public_url="https://models.example/")
    async with open_objects(settings) as one, open_objects(settings) as other:
        url = await one.signed_url("media/a/j/v.mp4", 1_800_000_000_000)
        assert url.startswith("https://models.example/objects/media/a/j/v.mp4?")
        assert await other.signed_url("media/a/j/v.mp4", 1_800_000_000_000) == url
    told = settings.model_copy(update={"objects_secret": SecretStr("told")})
    async with open_objects(told) as another:
        assert await another.signed_url("media/a/j/v.mp4", 1_800_000_000_000) != url
