from http.client import HTTPConnection
from threading import active_count

import pytest

from schemas.errors import InvalidValue
from storage.local.ports import free_port, is_free
from storage.observe.exposition import exposed
from storage.settings import ObserveSettings
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
    with exposed(ObserveSettings(metrics_port=port), lambda: ready):
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read().decode()
        connection.close()
    assert response.status == status
    assert ("penstock_usage_cost_microusd_total" in body) == (path == "/metrics")
    assert is_free(port)


def test_a_port_that_is_taken_is_named() -> None:
    port = free_port()
    settings = ObserveSettings(metrics_port=port)
    with (
        exposed(settings, lambda: True),
        pytest.raises(InvalidValue, match=f"PENSTOCK_METRICS_PORT: 127.0.0.1:{port}"),
        exposed(settings, lambda: True),
    ):
        pass


def test_without_a_port_nothing_is_opened() -> None:
    threads = active_count()
    with exposed(ObserveSettings(metrics_port=0), lambda: True):
        assert active_count() == threads
