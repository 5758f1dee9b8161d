"""Models of the catalogue on Ray Serve: `python -m workers.ray_serve --check --catalog models.yaml`."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from schemas.errors import InvalidValue
from storage.catalog import CatalogError, catalog_files, read_catalog
from storage.settings import StorageSettings
from storage.settings_read import read_settings
from workers.ray_serve.application import serve_config
from workers.ray_serve.budget import faults, notes
from workers.ray_serve.deploy import DeployFailed, deploy
from workers.ray_serve.documents import documents
from workers.ray_serve.kuberay import Kubernetes, ray_service
from workers.ray_serve.plan import ClusterPlan, Plan, make_plan
from workers.ray_serve.sharing import disagreements
from workers.ray_serve.table import show
from workers.ray_serve.weights import missing_weights

RAY_VERSION: Final = "2.60.0"
"""Whose config and whose images these are."""


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="penstock serve-models",
        description="Serve the catalogue's vLLM rows on Ray Serve. Without --check, --config or --kuberay, deploy.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="Check the whole plan without a cluster, and show it.")
    what.add_argument("--config", action="store_true", help="Print Ray Serve's config, as `serve deploy` takes it.")
    what.add_argument(
        "--kuberay", action="store_true", help="Print KubeRay's RayServices, as `kubectl apply` takes them."
    )
    parser.add_argument(
        "--catalog",
        action="append",
        type=Path,
        metavar="FILE",
        help="Catalogue file; may be given more than once. Default: those of PENSTOCK_CATALOG.",
    )
    parser.add_argument("--cluster", metavar="URL", help="Only this cluster, of those that the pools name.")
    parser.add_argument(
        "--no-weights", action="store_true", help="Look for no folders of weights: only the nodes have them."
    )
    parser.add_argument("--wait-s", type=float, default=3600, help="How long models may take to run.  [3600]")
    for name, default, meaning in (
        ("image", f"rayproject/ray-llm:{RAY_VERSION}-py312-cu130", "Image of Ray's nodes, with vLLM."),
        ("ray-version", RAY_VERSION, "Version of Ray in that image."),
        ("token-secret", "ray-auth-token", "Secret whose key auth_token has the cluster's token."),
        ("hub-secret", "hugging-face", "Secret whose key token opens the Hub's gated models; it need not be there."),
    ):
        parser.add_argument(f"--{name}", default=default, help=f"With --kuberay: {meaning}  [{default}]")
    return parser.parse_args(words)


def checked_plan(files: Sequence[Path], *, weights: bool) -> Plan:
    """Raises CatalogError with all that makes the plan impossible."""
    plan = make_plan(read_catalog(files))
    if found := [*disagreements(plan), *faults(plan), *(missing_weights(plan) if weights else ())]:
        raise CatalogError(found)
    return plan


def chosen(plan: Plan, url: str | None) -> list[ClusterPlan]:
    """Raises InvalidValue for a cluster that no pool names."""
    clusters = plan.clusters()
    if url is None:
        return clusters
    known = {str(each.cluster.url).rstrip("/"): each for each in clusters}
    if url.rstrip("/") not in known:
        raise InvalidValue(f"--cluster {url}: the pools' clusters are {', '.join(known) or 'none'}.")
    return [known[url.rstrip("/")]]


def ray_services(clusters: Sequence[ClusterPlan], kubernetes: Kubernetes) -> list[dict[str, Any]]:
    """Clusters of the same pools are alike, and one RayService each makes them."""
    services = [ray_service(each, kubernetes) for each in clusters]
    return list({each["metadata"]["name"]: each for each in services}.values())


async def deploy_all(clusters: Sequence[ClusterPlan], wait_s: float) -> None:
    """One after the other, so that what fails on the first leaves the others as they are."""
    for each in clusters:
        token = os.environ.get(each.pools[0].token_env, "")
        await deploy(each, token, lambda line: print(line, flush=True), wait_s)


def run(options: argparse.Namespace) -> None:
    files = options.catalog or catalog_files(read_settings(StorageSettings).catalog)
    plan = checked_plan(files, weights=not options.no_weights)
    clusters = chosen(plan, options.cluster)
    if options.check:
        print(show(plan))
    elif options.config:
        print(documents([serve_config(each) for each in clusters]), end="")
    elif options.kuberay:
        known = Kubernetes(options.image, options.ray_version, options.token_secret, options.hub_secret)
        print(documents(ray_services(clusters, known)), end="")
    else:
        asyncio.run(deploy_all(clusters, options.wait_s))
    for note in notes(plan):
        print(f"note: {note}", file=sys.stderr)


def main() -> None:
    try:
        run(arguments())
    except (CatalogError, DeployFailed, InvalidValue) as failure:
        print(failure, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
