"""`/v1/models`: the catalogue, as far as the key's scope opens it."""

from datetime import UTC, datetime

import msgspec
from fastapi import APIRouter, Request

from ingress.auth import opens
from ingress.door import Door
from schemas.catalog import Model
from schemas.errors import Forbidden
from schemas.wire.models import ModelCard, ModelList, ModelModalities, ModelPricing

router = APIRouter(prefix="/v1/models", tags=["models"])


def card(model: Model) -> ModelCard:
    """What a caller is told about a row."""
    contract = model.contract
    created_at = datetime.fromtimestamp(model.created, UTC).isoformat().replace("+00:00", "Z")
    return ModelCard(
        id=model.id,
        created=model.created,
        created_at=created_at,
        owned_by=model.owned_by,
        display_name=model.display_name or model.id,
        description=model.description,
        aliases=list(model.aliases),
        context_length=model.fitting_tokens,
        max_output_tokens=model.max_output_tokens,
        modalities=ModelModalities(input=list(model.inputs), output=list(model.outputs)),
        endpoints=list(model.endpoints),
        abilities=sorted(model.abilities),
        supported_parameters=sorted(model.rules()) if contract is None else [],
        contract=None if contract is None else contract.model_dump(mode="json"),
        pricing=ModelPricing(**msgspec.structs.asdict(model.price.microusd)),
    )


@router.head("", include_in_schema=False)
@router.get("", summary="List the models that the access key opens")
async def list_models(request: Request) -> ModelList:
    door: Door = request.app.state.door
    key = await door.authenticate(request)
    cards = [card(model) for model in door.catalog if opens(key, model.id)]
    return ModelList(data=cards, first_id=cards[0].id if cards else None, last_id=cards[-1].id if cards else None)


@router.head("/{model_id:path}", include_in_schema=False)
@router.get("/{model_id:path}", summary="Describe one model, by its id or an alias")
async def get_model(request: Request, model_id: str) -> ModelCard:
    door: Door = request.app.state.door
    key = await door.authenticate(request)
    model = door.catalog.find(model_id)
    if not opens(key, model.id):
        raise Forbidden(f"This access key has no access to the model '{model.id}'.", param="model")
    return card(model)
