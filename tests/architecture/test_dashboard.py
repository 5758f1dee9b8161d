"""What Grafana draws and Prometheus warns of are metrics that the code counts, by labels that they have."""

import importlib
import json
import pkgutil
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import promql_parser
import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

import ingress
import storage
import streams
import workers
from schemas.errors import BY_CODE
from tests.architecture.deployed import SERVICES, STAYING
from tests.integration.cluster.compose_file import ROOT

DEPLOY: Final = ROOT / "deploy"
DASHBOARD: Final = json.loads((DEPLOY / "grafana" / "dashboards" / "penstock.json").read_text())
ALERTS: Final = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
FILLED_IN: Final = {"$__rate_interval": "1m", "$model": ".*", "$lane": ".*"}
"""What Grafana puts in the place of its variables."""

FROM_PROMETHEUS: Final = {"up": {"job", "instance"}}
FROM_THE_PROXY: Final = {
    "haproxy_frontend_current_sessions": {"proxy"},
    "haproxy_backend_active_servers": {"proxy"},
}
"""tests/contract/proxy asks a real one for them."""

ADDED: Final = {"job", "instance"}
"""The labels that Prometheus itself puts on whatever it reads."""

BESIDES: Final = {"_bucket": {"le"}, "_count": set[str](), "_sum": set[str](), "": set[str]()}


def counted() -> dict[str, set[str]]:
    """Every sample that a part can show, and its labels."""
    for package in (ingress, storage, streams, workers):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if re.search(r"(metrics|telemetry|line|gauges)$", found.name):
                importlib.import_module(found.name)
    samples = dict(FROM_PROMETHEUS) | FROM_THE_PROXY
    for collector in REGISTRY._collector_to_names:
        if isinstance(collector, MetricWrapperBase):
            for name in REGISTRY._collector_to_names[collector]:
                ending = next(ending for ending in BESIDES if name.endswith(ending))
                samples[name] = set(collector._labelnames) | BESIDES[ending]
        else:
            samples |= {name: set() for name in REGISTRY._collector_to_names[collector]}
    return samples


def panels() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def rules() -> Iterator[tuple[str, str]]:
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def parsed(text: str) -> Any:
    for name, value in FILLED_IN.items():
        text = text.replace(name, value)
    return promql_parser.parse(text)


def selectors(expression: Any) -> Iterator[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)
        elif isinstance(node, promql_parser.VectorSelector):
            found.append(node)

    promql_parser.walk(expression, visit)
    yield from found


def grouped_by(expression: Any) -> set[str]:
    """The labels by which anything in it is summed up."""
    labels: set[str] = set()

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            labels.update(node.modifier.labels)

    promql_parser.walk(expression, visit)
    return labels


QUERIES: Final = [*panels(), *rules()]
SAMPLES: Final = counted()


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_every_query_asks_for_metrics_that_are_counted(title: str, query: str) -> None:
    expression = parsed(query)
    asked = list(selectors(expression))
    assert asked, f"{title} asks for nothing"
    known: set[str] = set()
    for selector in asked:
        assert selector.name in SAMPLES, f"{title}: nothing counts {selector.name}"
        labels = SAMPLES[selector.name] | ADDED
        matched = {matcher.name for matcher in selector.matchers.matchers}
        assert matched <= labels, f"{title}: {selector.name} has no {matched - labels}"
        known |= labels
    assert grouped_by(expression) <= known, f"{title} sums by what nothing has"


def test_a_metric_that_nothing_counts_would_be_noticed() -> None:
    with pytest.raises(AssertionError, match="nothing counts penstock_no_such_total"):
        test_every_query_asks_for_metrics_that_are_counted("made up", "rate(penstock_no_such_total[5m])")
    with pytest.raises(AssertionError, match="has no"):
        test_every_query_asks_for_metrics_that_are_counted("made up", 'penstock_worker_slots{lain="x"}')


def test_legends_name_labels_that_queries_leave() -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            expression = parsed(target["expr"])
            assert named <= (grouped_by(expression) or ADDED), panel["title"]


def test_codes_that_are_asked_for_are_codes() -> None:
    texts = [query for _, query in QUERIES]
    named = {code for text in texts for found in re.findall(r'code=~?"([^"]+)"', text) for code in found.split("|")}
    assert named
    assert named <= BY_CODE.keys()


def test_parts_that_are_asked_for_run() -> None:
    for _, query in QUERIES:
        for selector in selectors(parsed(query)):
            for matcher in selector.matchers.matchers:
                if matcher.name == "instance":
                    assert any(re.fullmatch(matcher.value, f"{name}:9100") for name in STAYING), query


def test_variables_and_panels_are_asked_of_the_datasource_that_is_provisioned() -> None:
    (source,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    asking = [*DASHBOARD["templating"]["list"], *(panel for panel in DASHBOARD["panels"] if panel["type"] != "row")]
    assert {each["datasource"]["uid"] for each in asking} == {source["uid"]}
    for variable in DASHBOARD["templating"]["list"]:
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
        assert label in SAMPLES[metric]


def test_grafana_finds_the_dashboard_where_it_is_mounted() -> None:
    (provider,) = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/penstock.yaml").read_text())["providers"]
    grafana = SERVICES["grafana"]
    folder = ROOT / grafana.mounts[provider["options"]["path"]]
    assert (folder / "penstock.json").is_file()
    home = Path(grafana.environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_reads_its_configuration(tmp_path: Path) -> None:
    told = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    (tmp_path / "prometheus.yml").write_text(told.replace("/etc/prometheus/", f"{DEPLOY / 'prometheus'}/"))
    command = ["promtool", "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{sum(1 for _ in rules())} rules found" in done.stdout


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_alerts_call_when_they_should_and_only_then() -> None:
    told = Path(__file__).with_name("alerts.yaml")
    done = subprocess.run(["promtool", "test", "rules", str(told)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    tried = {
        each["alertname"] for test in yaml.safe_load(told.read_text())["tests"] for each in test["alert_rule_test"]
    }
    assert tried <= {name for name, _ in rules()}
