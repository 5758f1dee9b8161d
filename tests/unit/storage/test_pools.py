from pathlib import Path
from textwrap import dedent

import pytest

from storage.catalog import CatalogError, load_catalog, read_catalog

POOL = """
    pools:
      - name: h100
        accelerator: H100
        accelerators_per_node: 8
        clusters:
          - {url: "http://ray-a:8000", metrics: ["http://node-1:8090/metrics"]}
          - {url: "http://ray-b:8000/"}
"""
ROW = "engine: vllm, context_tokens: 100, max_output_tokens: 10"


def write(folder: Path, *texts: str) -> list[Path]:
    files = [folder / f"{number}.yaml" for number, _ in enumerate(texts)]
    for file, text in zip(files, texts, strict=True):
        file.write_text(dedent(text).lstrip("\n"))
    return files


def faults(folder: Path, *texts: str) -> list[str]:
    with pytest.raises(CatalogError) as caught:
        load_catalog(write(folder, *texts))
    return [fault.replace(f"{folder}/", "") for fault in caught.value.faults]


def test_a_served_row_has_an_address_on_each_cluster_of_its_pool(tmp_path: Path) -> None:
    row = f"models: [{{id: Org/Big, {ROW}, serving: {{pool: h100, weights: org/big}}}}]"
    model = load_catalog(write(tmp_path, row, POOL)).find("Org/Big")
    assert [str(url) for url in model.addresses] == ["http://ray-a:8000/org-big/v1", "http://ray-b:8000/org-big/v1"]
    assert [[str(url) for url in each] for each in model.metrics] == [["http://node-1:8090/metrics"], []]


def test_a_served_row_that_names_its_address_keeps_it(tmp_path: Path) -> None:
    row = f"models: [{{id: m, {ROW}, base_url: 'http://gate/v1', serving: {{pool: h100, weights: org/big}}}}]"
    model = load_catalog(write(tmp_path, row, POOL)).find("m")
    assert [str(url) for url in model.addresses] == ["http://gate/v1"]


def test_pools_and_rows_have_their_places(tmp_path: Path) -> None:
    row = f"models:\n  - {{id: m, {ROW},\n     serving: {{pool: h100,\n      weights: org/big}}}}"
    listing = read_catalog(write(tmp_path, POOL, row))
    served = next(entry for entry in listing.models if entry.row.id == "m")
    assert served.where.at("serving", "weights") == f"{tmp_path}/1.yaml:4"
    assert str(listing.pools["h100"].where) == f"{tmp_path}/0.yaml:2"


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        (
            f"models:\n  - {{id: m, {ROW},\n     serving: {{pool: h10, weights: a/b}}}}",
            ["1.yaml:3: model 'm': unknown pool 'h10'; did you mean 'h100'?"],
        ),
        (
            f"models:\n  - {{id: a.b, {ROW}, serving: {{pool: h100, weights: a/b}}}}\n"
            f"  - {{id: a-b, {ROW}, serving: {{pool: h100, weights: a/b}}}}",
            ["1.yaml:3: model 'a-b': its route /a-b is that of 'a.b' at 1.yaml:2; choose another id"],
        ),
        (
            f"models:\n  - {{id: m, {ROW}, serving: {{pool: h100, weights: a/b, replica: {{min: 1}}}}}}",
            ["1.yaml:2: model 'm': unknown field 'serving.replica'; did you mean 'replicas'?"],
        ),
        (
            f"models:\n  - {{id: m, {ROW}, serving: {{pool: h100, weights: a/b, replicas: {{mni: 1}}}}}}",
            ["1.yaml:2: model 'm': unknown field 'serving.replicas.mni'; did you mean 'min'?"],
        ),
    ],
)
def test_faults_of_served_rows_have_their_lines(tmp_path: Path, rows: str, wanted: list[str]) -> None:
    assert faults(tmp_path, POOL, rows) == wanted


def test_counting_needs_vllms_own_routes(tmp_path: Path) -> None:
    row = f"models:\n  - {{id: m, {ROW}, serving: {{pool: h100, weights: a/b}},\n     abilities: [count_tokens]}}"
    assert faults(tmp_path, POOL, row) == [
        "1.yaml:3: model 'm': abilities: 'count_tokens' needs a pool with direct_streaming: "
        "Ray's ingress does not reach vLLM's count"
    ]
    direct = POOL.replace("accelerators_per_node", "direct_streaming: true\n        accelerators_per_node")
    assert "count_tokens" in load_catalog(write(tmp_path, direct, row)).find("m").abilities


def test_faults_of_pools_have_their_lines(tmp_path: Path) -> None:
    text = POOL + "      - {name: h100, accelerator: H100, accelerators_per_node: 1, clusters: [{url: 'http://c'}]}\n"
    assert faults(tmp_path, text) == ["0.yaml:8: pool 'h100': stands at 0.yaml:2 already"]
    assert faults(tmp_path, POOL.replace("H100", "H101")) == [
        "0.yaml:3: pool 'h100': accelerator 'H101' is not known; did you mean 'H100'?"
    ]
    assert faults(tmp_path, POOL.replace('url: "http://ray-a', 'urll: "http://ray-a')) == [
        "0.yaml:6: pool 'h100': clusters[0].url is required",
        "0.yaml:6: pool 'h100': unknown field 'clusters[0].urll'; did you mean 'url'?",
    ]
