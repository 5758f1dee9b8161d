from pathlib import Path
from textwrap import dedent

import pytest

from schemas.catalog import Catalog
from schemas.errors import ModelNotFound
from schemas.parameters import Rule
from schemas.usage import Price
from storage.catalog import CatalogError, catalog_files, load_catalog

ISSUE_ROW = """
    models:
      - id: my-model
        modality: text
        engine: openai_compatible
        base_url: http://gpu-host:8000/v1
        upstream_model: org/name          # default: id
        api_key_env: GPU_HOST_KEY         # optional
        context_tokens: 32768
        max_output_tokens: 4096
        price: {input_usd_per_mtok: 0.25, output_usd_per_mtok: 0.80}
"""
ROW = "engine: llama_cpp, context_tokens: 100, max_output_tokens: 10"


class Folder:
    """Writes catalogue files and loads them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, text: str, name: str = "rows.yaml") -> Path:
        file = self.path / name
        file.write_text(dedent(text).lstrip("\n"), "utf-8")
        return file

    def load(self, *texts: str) -> Catalog:
        return load_catalog([self.write(text, f"{place}.yaml") for place, text in enumerate(texts)])

    def faults(self, *texts: str) -> list[str]:
        with pytest.raises(CatalogError) as caught:
            self.load(*texts)
        assert str(caught.value).splitlines() == list(caught.value.faults)
        return [fault.replace(f"{self.path}/", "") for fault in caught.value.faults]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_the_built_in_catalogue_has_the_embedded_model() -> None:
    row = load_catalog([]).find("smollm2-135m-instruct")
    assert (row.engine, row.lane) == ("llama_cpp", "text.embedded")
    assert row.price.microusd == Price(10_000, 10_000, 20_000, 10_000, 10_000)


def test_the_least_an_operator_writes_is_a_whole_row(folder: Folder) -> None:
    row = folder.load(ISSUE_ROW).find("my-model")
    assert (str(row.base_url), row.upstream_name, row.api_key_env) == (
        "http://gpu-host:8000/v1",
        "org/name",
        "GPU_HOST_KEY",
    )
    assert (row.lane, row.inputs) == ("text.default", ("text",))
    assert row.abilities == {"tools", "parallel_tools", "json_object", "json_schema"}
    assert row.price.microusd == Price(250_000, 250_000, 800_000, 250_000, 250_000)
    assert row.rules()["temperature"] == Rule(min=0, max=2)


def test_rows_may_stand_in_for_each_other(folder: Folder) -> None:
    catalog = folder.load(
        f"models: [{{id: a, fallbacks: [b], {ROW}}}, {{id: b, aliases: [bb], fallbacks: [a], {ROW}}}]"
    )
    assert [row.id for row in catalog.fallbacks(catalog.find("a"))] == ["b"]
    assert [row.id for row in catalog.fallbacks(catalog.find("bb"))] == ["a"]


@pytest.mark.parametrize(
    ("fallbacks", "faults"),
    [
        ("[c]", ["0.yaml:1: model 'a': the fallback 'c' is no model here"]),
        ("[bbb]", ["0.yaml:1: model 'a': the fallback 'bbb' is no model here; did you mean 'bb'?"]),
        ("[a]", ["0.yaml:1: model 'a': the fallback 'a' is the model itself"]),
        ("[aa]", ["0.yaml:1: model 'a': the fallback 'aa' is the model itself"]),
        ("[b, bb]", ["0.yaml:1: model 'a': the fallback 'bb' stands there twice"]),
    ],
)
def test_a_fallback_is_another_model_and_named_once(folder: Folder, fallbacks: str, faults: list[str]) -> None:
    text = f"models: [{{id: a, aliases: [aa], fallbacks: {fallbacks}, {ROW}}}, {{id: b, aliases: [bb], {ROW}}}]"
    assert folder.faults(text) == faults


def test_rows_keep_the_order_of_the_files(folder: Folder) -> None:
    catalog = folder.load(f"models: [{{id: b, {ROW}}}]", f"models: [{{id: a, {ROW}}}]")
    ids = [row.id for row in catalog]
    assert (ids[0], ids[-2:]) == ("smollm2-135m-instruct", ["b", "a"])


def test_a_row_is_found_by_id_and_alias(folder: Folder) -> None:
    catalog = folder.load(f"models: [{{id: a, aliases: [b, org/c], {ROW}}}]")
    assert {catalog.find(name).id for name in ("a", "b", "org/c")} == {"a"}
    with pytest.raises(ModelNotFound):
        catalog.find("d")


def test_a_later_row_replaces_an_earlier_one_with_its_aliases(folder: Folder) -> None:
    catalog = folder.load(
        f"models: [{{id: a, aliases: [x], {ROW}}}, {{id: b, {ROW}}}]",
        f"models: [{{id: a, owned_by: me, replace: true, {ROW}}}, {{id: c, aliases: [x], {ROW}}}]",
    )
    ids = [row.id for row in catalog]
    assert (ids[0], ids[-3:]) == ("smollm2-135m-instruct", ["a", "b", "c"])
    assert catalog.find("a").owned_by == "me"
    assert catalog.find("x").id == "c"


def test_a_file_can_leave_the_built_in_rows_out(folder: Folder) -> None:
    catalog = folder.load(f"builtin: false\nmodels: [{{id: a, {ROW}}}]")
    assert [row.id for row in catalog] == ["a"]


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", ["0.yaml:1: should hold a list of rows under 'models:'"]),
        ("models:\n", ["0.yaml:1: should hold a list of rows under 'models:'"]),
        ("- id: a\n", ["0.yaml:1: should hold a list of rows under 'models:'"]),
        (
            "builtin: false\nmodels: []\n",
            ["The catalogue holds no models: give a file with rows, or leave the built-in ones in."],
        ),
        ("models:\n  - id: a\n  bad\n", ["0.yaml:4: is not valid YAML: could not find expected ':'"]),
        ("models:\n  - *nobody\n", ["0.yaml:2: is not valid YAML: found undefined alias 'nobody'"]),
        (
            "models:\n  - id: !!python/name:os.system\n",
            [
                "0.yaml:2: is not valid YAML: could not determine a constructor for the tag "
                "'tag:yaml.org,2002:python/name:os.system'"
            ],
        ),
        ("models:\n  - 7\n", ["0.yaml:2: a row should be a mapping with at least an id and an engine"]),
        (f"model: 1\nmodels:\n  - {{id: a, {ROW}}}\n", ["0.yaml:1: unknown field 'model'; did you mean 'models'?"]),
        (f"builtin: 3\nmodels:\n  - {{id: a, {ROW}}}\n", ["0.yaml:1: builtin should be true or false"]),
        (
            f"models:\n  - {{id: a, {ROW},\n     lane: text.a,\n     lane: text.b}}\n",
            ["0.yaml:4: 'lane' stands there twice"],
        ),
        (
            "models:\n  - id: a\n    engine: llama_cpp\n    context_tokens: 5\n",
            ["0.yaml:2: model 'a': max_output_tokens is required"],
        ),
        (
            "models:\n  - engine: llama_cpp\n    context_tokens: 5\n    max_output_tokens: 5\n",
            ["0.yaml:2: models[0]: id is required"],
        ),
        (
            f"models:\n  - {{id: a, {ROW}}}\n  - id: b b\n    {ROW.replace(', ', chr(10) + '    ')}\n",
            ["0.yaml:3: model 'b b': id: String should match pattern '^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$'"],
        ),
        (
            f"models:\n  - {{{ROW},\n     id: a,\n     contxt: 5}}\n",
            ["0.yaml:4: model 'a': unknown field 'contxt'; did you mean 'context_tokens'?"],
        ),
        (
            f"models:\n  - {{id: a, {ROW},\n     price: {{input_usd_per_mtok: 1,\n       output: 2}}}}\n",
            [
                "0.yaml:4: model 'a': unknown field 'price.output'; "
                "known are cache_written_1h_input_usd_per_mtok, cache_written_input_usd_per_mtok, "
                "cached_input_usd_per_mtok, input_usd_per_mtok, output_usd_per_mtok, "
                "usd_per_image, usd_per_mchar, usd_per_request, usd_per_video, usd_per_video_second"
            ],
        ),
        (
            f"models:\n  - {{id: a, {ROW},\n     price: {{\n       input_usd_per_mtok: -1}}}}\n",
            ["0.yaml:4: model 'a': price.input_usd_per_mtok should be greater than or equal to 0"],
        ),
        (
            f"models:\n  - {{id: a, {ROW}, parameters: {{\n       temperatur: true}}}}\n",
            ["0.yaml:3: model 'a': unknown parameter 'temperatur'; did you mean 'temperature'?"],
        ),
        (
            f"models:\n  - {{id: a, {ROW}, parameters: {{\n       seed: {{\n         maxx: 3}}}}}}\n",
            ["0.yaml:4: model 'a': unknown field 'parameters.seed.maxx'; did you mean 'max'?"],
        ),
        (
            f"models:\n  - {{id: a, {ROW}, parameters: {{temperature: {{max: -1}}}}}}\n",
            ["0.yaml:2: model 'a': parameters.temperature: min 0 is larger than max -1"],
        ),
        (
            "models:\n  - {id: a, engine: openai_compatible, context_tokens: 5, max_output_tokens: 5}\n",
            ["0.yaml:2: model 'a': engine openai_compatible needs a base_url, as in http://gpu-host:8000/v1"],
        ),
        (
            "models:\n  - {id: a, engine: llama_cpp, context_tokens: 5, max_output_tokens: 6}\n",
            ["0.yaml:2: model 'a': max_output_tokens is larger than context_tokens"],
        ),
        (
            f"models:\n  - id: a\n    {ROW.replace(', ', chr(10) + '    ').replace('llama_cpp', 'vlm')}\n",
            [
                "0.yaml:3: model 'a': engine should be "
                "'openai_compatible', 'openai_responses', 'anthropic', 'vllm', 'llama_cpp', "
                "'minilm', 'piper', 'storyboard' or 'fal'"
            ],
        ),
        (
            f"models:\n  - {{id: a, {ROW}}}\n  - {{id: a, {ROW}}}\n",
            [
                "0.yaml:3: model 'a': stands at 0.yaml:2 already; "
                "choose another id, or write 'replace: true' to replace that row"
            ],
        ),
        (
            f"models:\n  - {{id: a, {ROW}}}\n  - {{id: b, aliases: [a], {ROW}}}\n",
            ["0.yaml:3: model 'b': the alias 'a' already names 'a' at 0.yaml:2"],
        ),
        (
            f"models:\n  - {{id: a, aliases: [x], {ROW}}}\n  - {{id: b, aliases: [x], {ROW}}}\n",
            ["0.yaml:3: model 'b': the alias 'x' already names 'a' at 0.yaml:2"],
        ),
        (
            f"models:\n  - {{id: a, replace: true, {ROW}}}\n",
            ["0.yaml:2: model 'a': there is no earlier row that it could replace"],
        ),
        (
            f"models:\n  - {{id: a,\n     replace: maybe, {ROW}}}\n",
            ["0.yaml:3: model 'a': replace should be true or false"],
        ),
    ],
)
def test_a_fault_is_told_with_its_file_line_and_reason(folder: Folder, text: str, faults: list[str]) -> None:
    assert folder.faults(text) == faults


def test_all_faults_of_all_files_are_told_at_once(folder: Folder) -> None:
    faults = folder.faults("models: [3, 4]", "models: [{id: a}]")
    assert [fault.split(":")[0] for fault in faults] == ["0.yaml"] * 2 + ["1.yaml"] * 3


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"models: [\xe9]")
    with pytest.raises(CatalogError) as caught:
        load_catalog([tmp_path / "none.yaml", tmp_path, tmp_path / "latin.yaml"])
    reasons = [fault.rpartition(": ")[2] for fault in caught.value.faults]
    assert reasons == ["No such file or directory", "Is a directory", "is not UTF-8 at byte 9"]


def test_the_setting_names_files_as_path_does() -> None:
    assert catalog_files("a.yaml:b/c.yaml:") == [Path("a.yaml"), Path("b/c.yaml")]
    assert catalog_files("") == []


FAMILY = """models:
  - {id: wan-i, modality: image, engine: storyboard, image: {sizes: [64x64]}, elsewhere: {/v1/videos: wan-v}}
  - {id: wan-v, aliases: [wan], modality: video, engine: storyboard, video: {sizes: [64x64]}}
"""


def test_a_family_answers_by_one_name_at_each_of_its_endpoints(tmp_path: Path) -> None:
    file = tmp_path / "family.yaml"
    file.write_text(FAMILY)
    catalog = load_catalog([file])
    assert catalog.serving("wan-i", "/v1/images/generations").id == "wan-i"
    assert catalog.serving("wan-i", "/v1/videos").id == "wan-v"
    assert catalog.serving("wan", "/v1/images/generations").id == "wan-v"


@pytest.mark.parametrize(
    ("name", "fault"), [("wan-x", "'wan-x' is no model here"), ("wan-i", "'wan-i' is not served there")]
)
def test_who_answers_elsewhere_is_a_model_that_is_served_there(tmp_path: Path, name: str, fault: str) -> None:
    file = tmp_path / "family.yaml"
    file.write_text(FAMILY.replace("/v1/videos: wan-v", f"/v1/videos: {name}"))
    with pytest.raises(CatalogError, match=f"family.yaml:2: model 'wan-i': elsewhere./v1/videos: {fault}"):
        load_catalog([file])
