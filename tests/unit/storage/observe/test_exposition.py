from http.client import HTTPConnection

import pytest

from storage.local.ports import free_port
from storage.observe.exposition import Exposition
from streams import telemetry


@pytest.mark.parametrize(
    ("path", "ready", "status"),
    [
        ("/metrics", False, 200),
        ("/healthz", False, 200),
        ("/readyz", False, 503),
        ("/readyz", True, 200),
        ("/", True, 404),
    ],
)
def test_each_path_answers(path: str, ready: bool, status: int) -> None:
    port = free_port()
    telemetry.COST.labels("shown").inc(0)
    exposition = Exposition("127.0.0.1", port, lambda: ready)
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    exposition.close()
    assert response.status == status
    assert ("penstock_usage_cost_microusd_total" in body) == (path == "/metrics")
