"""The OpenAPI document, made without a warning."""

import warnings

from ingress.app import create_app
from ingress.door import Door
from ingress.settings import IngressSettings
from storage.settings import ObserveSettings, StorageSettings


def test_each_operation_has_a_name_of_its_own() -> None:
    app = create_app(Door(StorageSettings(), IngressSettings(), ObserveSettings()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paths = app.openapi()["paths"]
    names = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    assert len(names) > 30
    assert len(names) == len(set(names))
