"""What a row says about its several addresses."""

from typing import Any, Final

import msgspec

from schemas.catalog import Model
from workers.engines.setup import SetupError

NAME: Final = "replicas"


class ReplicaOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`engine_options.replicas` of a row with an address.

    `health`: a path at the addresses' hosts that answers while they are well; without one it is found out. `probe`:
    whether they are asked for it. `prefix_chars`: how long a prompt must be for its conversation to go back to where it
    was; 0 for never.
    """

    health: str | None = None
    probe: bool = True
    prefix_chars: int = 2048

    def __post_init__(self) -> None:
        if self.health is not None and not self.health.startswith("/"):
            raise ValueError("health should begin with /")
        if self.prefix_chars < 0:
            raise ValueError("prefix_chars should be 0 or more")


def without_replicas(model: Model) -> tuple[Model, ReplicaOptions]:
    """The row as its engine is to read it, and what it says for several of them. Raises SetupError."""
    said: dict[str, Any] = dict(model.engine_options)
    if NAME not in said or not model.addresses:
        return model, ReplicaOptions()
    try:
        options = msgspec.convert(said.pop(NAME), ReplicaOptions)
    except msgspec.ValidationError as exc:
        raise SetupError(f"model '{model.id}': engine_options.{NAME}: {exc}") from exc
    return model.model_copy(update={"engine_options": said}), options
