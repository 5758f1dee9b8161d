import asyncio
from pathlib import Path

import pytest

from storage.object_folder import ObjectFolder


@pytest.fixture
def objects(tmp_path: Path) -> ObjectFolder:
    return ObjectFolder(tmp_path / "objects")


async def test_what_was_put_is_got_until_it_is_deleted(objects: ObjectFolder) -> None:
    await objects.put("jobs/acme/1", b"one")
    await objects.put("jobs/acme/1", b"two")
    assert await objects.get("jobs/acme/1") == b"two"
    await objects.delete("jobs/acme/1")
    await objects.delete("jobs/acme/1")
    with pytest.raises(FileNotFoundError):
        await objects.get("jobs/acme/1")


async def test_a_put_that_fails_leaves_what_was_there_and_no_draft(objects: ObjectFolder, tmp_path: Path) -> None:
    await objects.put("a/b", b"whole")
    with pytest.raises(TypeError):
        await objects.put("a/b", "no bytes")  # type: ignore[arg-type]
    assert await objects.get("a/b") == b"whole"
    assert [path.name for path in (tmp_path / "objects" / "a").iterdir()] == ["b"]


async def test_readers_see_one_body_or_the_other_and_never_half(objects: ObjectFolder) -> None:
    bodies = [bytes([i]) * 200_000 for i in range(8)]
    await objects.put("k", bodies[0])

    async def read() -> None:
        for _ in range(40):
            assert await objects.get("k") in bodies

    await asyncio.gather(read(), read(), *[objects.put("k", body) for body in bodies])


@pytest.mark.parametrize("key", ["../outside", "a/../../outside", "/etc/passwd", "a/\0"])
async def test_a_key_cannot_leave_the_folder(objects: ObjectFolder, key: str) -> None:
    for step in (objects.put(key, b"x"), objects.get(key), objects.delete(key)):
        with pytest.raises(ValueError, match=r"leaves its place|is no object"):
            await step
