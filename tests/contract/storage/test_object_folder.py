from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.object_folder import ObjectFolder
from storage.objects import Objects
from storage.signed_urls import UrlSigner
from tests.objects_contract import ConstantMemory, Fetch, ObjectsContract
from tests.objects_door import URL, objects_door


class TestObjectFolder(ObjectsContract, ConstantMemory):
    @pytest.fixture
    def objects(self, tmp_path: Path) -> Objects:
        return ObjectFolder(tmp_path / "objects", UrlSigner(URL, b"a secret"))

    @pytest.fixture
    async def fetch(self, objects: Objects) -> AsyncIterator[Fetch]:
        async with objects_door(objects) as http:
            yield http.get

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "objects"

    async def left_over(self, objects: Objects) -> list[str]:
        return [path.name for path in (self.folder / ".drafts").iterdir()]
