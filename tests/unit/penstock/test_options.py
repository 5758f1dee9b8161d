"""What a person chose reaches the parts, and the process that runs them in the background."""

import os
from pathlib import Path

import pytest

from penstock.options import StackOptions
from storage.local.failure import StartFailed


@pytest.mark.parametrize(
    ("host", "base_url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080/v1"),
        ("0.0.0.0", "http://127.0.0.1:8080/v1"),
        ("::1", "http://[::1]:8080/v1"),
        ("gateway.example", "http://gateway.example:8080/v1"),
    ],
)
def test_the_base_url_is_one_that_can_be_called(host: str, base_url: str) -> None:
    assert StackOptions(host=host).base_url == base_url


def test_the_background_gets_every_choice(tmp_path: Path) -> None:
    options = StackOptions(
        data=tmp_path,
        port=9000,
        catalog=(tmp_path / "a.yaml", tmp_path / "b.yaml"),
        ingress=2,
        kafka="kafka:9092",
        database="postgresql://db/penstock",
        objects="s3://bucket/prefix",
        public_url="https://models.example",
    )
    assert options.arguments() == [
        f"--data={tmp_path}",
        "--host=127.0.0.1",
        "--port=9000",
        f"--catalog={tmp_path}/a.yaml",
        f"--catalog={tmp_path}/b.yaml",
        "--ingress=2",
        "--text-workers=1",
        "--streams=1",
        "--kafka=kafka:9092",
        "--database=postgresql://db/penstock",
        "--objects=s3://bucket/prefix",
        "--public-url=https://models.example",
    ]


def test_catalogue_files_are_named_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.yaml", "b.yaml"):
        Path(name).touch()
    files = StackOptions(catalog=(Path("a.yaml"), Path("b.yaml"))).catalog_files()
    assert files == os.pathsep.join([f"{tmp_path}/a.yaml", f"{tmp_path}/b.yaml"])


def test_a_catalogue_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match=r"catalogue file .*none\.yaml does not exist"):
        StackOptions(catalog=(tmp_path / "none.yaml",)).catalog_files()


def test_objects_are_in_the_folder_unless_they_have_another_place(tmp_path: Path) -> None:
    assert StackOptions(data=tmp_path).object_storage == f"{tmp_path}/objects"
    assert StackOptions(data=tmp_path, objects="s3://bucket").object_storage == "s3://bucket"


def test_the_database_is_the_folders_own_unless_another_is_given(tmp_path: Path) -> None:
    assert StackOptions(data=tmp_path).database_url == f"sqlite:///{tmp_path}/penstock.db"
    assert StackOptions(data=tmp_path, database="postgresql://db/p").database_url == "postgresql://db/p"


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartFailed, match=r"^the data folder .*/file/data cannot be made: Not a directory$"):
        StackOptions(data=tmp_path / "file" / "data").make_folders()
