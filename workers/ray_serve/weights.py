"""Whether folders that rows name as their weights hold a model."""

from pathlib import Path

from workers.ray_serve.plan import Plan


def missing_weights(plan: Plan) -> list[str]:
    """A line for each folder that is not there, or holds no config.json, by which vLLM knows what a model is."""
    found = []
    for app in plan.applications:
        if app.serving.folder is None:
            continue
        folder = Path(app.serving.folder)
        if not folder.is_dir():
            why = "is no folder"
        elif not (folder / "config.json").is_file():
            why = "holds no config.json"
        else:
            continue
        where = app.where.at("serving", "weights")
        found.append(
            f"{where}: model '{app.model.id}': weights: {folder} {why}; --no-weights, where only the nodes have it"
        )
    return found
