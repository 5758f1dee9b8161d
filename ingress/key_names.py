"""A key's models by their rows' ids, whatever name whoever wrote the key called them by."""

import msgspec

from schemas.access import AccessKey
from schemas.catalog import Catalog


def named_by_id(key: AccessKey, catalog: Catalog) -> AccessKey:
    """The key with aliases resolved in its scope and in its limits.

    Where limits stand under an id and under its alias, those under the id hold. A name that the catalogue does not
    have opens nothing and stays: a later catalogue may have it.
    """
    if key.models is None and not key.model_limits:
        return key
    by_alias = {catalog.id_of(name): limits for name, limits in key.model_limits.items()}
    by_id = {name: limits for name, limits in key.model_limits.items() if catalog.id_of(name) == name}
    return msgspec.structs.replace(
        key,
        models=None if key.models is None else tuple(dict.fromkeys(map(catalog.id_of, key.models))),
        model_limits=by_alias | by_id,
    )
