from pathlib import Path

from storage.catalog import read_catalog
from workers.ray_serve.plan import make_plan
from workers.ray_serve.weights import missing_weights


def test_folders_of_weights_hold_a_model(tmp_path: Path) -> None:
    good, empty = tmp_path / "good", tmp_path / "empty"
    for folder in (good, empty):
        folder.mkdir()
    (good / "config.json").write_text("{}")
    pool = "builtin: false\npools: [{name: p, accelerator: cpu, accelerators_per_node: 4, clusters: [{url: 'http://r'}]}]\n"
    rows = "models:\n" + "".join(
        f"  - {{id: m{number}, engine: vllm, context_tokens: 9, max_output_tokens: 9,\n"
        f"     serving: {{pool: p, weights: {weights}}}}}\n"
        for number, weights in enumerate((good, empty, tmp_path / "none", "org/name", "s3://b/c"))
    )
    file = tmp_path / "rows.yaml"
    file.write_text(pool + rows)
    hint = "; --no-weights, where only the nodes have it"
    assert missing_weights(make_plan(read_catalog([file]))) == [
        f"{file}:7: model 'm1': weights: {empty} holds no config.json{hint}",
        f"{file}:9: model 'm2': weights: {tmp_path}/none is no folder{hint}",
    ]
