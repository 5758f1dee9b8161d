"""The length of a prompt, from llama.cpp's own server inside this process: its template, its tokenizer, no slot."""

import asyncio
from typing import Final

import aiohttp
import msgspec

from schemas.errors import EngineUnavailable

PATH: Final = "/v1/chat/completions/input_tokens"
PATIENCE_S: Final = 10.0


class _Count(msgspec.Struct):
    input_tokens: int


COUNT: Final = msgspec.json.Decoder(_Count)


class PromptCounter:
    """Asks at `address` with the key that only this process knows."""

    def __init__(self, model: str, address: str, key: str) -> None:
        self._model = model
        self._url = address + PATH
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    async def count(self, body: bytes) -> int:
        """The tokens of a chat completions body. Raises EngineUnavailable."""
        try:
            async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession(trust_env=False) as session:
                response = await session.post(self._url, data=body, headers=self._headers)
                return COUNT.decode(await response.read()).input_tokens
        except (TimeoutError, aiohttp.ClientError, OSError, msgspec.DecodeError) as exc:
            raise EngineUnavailable(f"The engine of model '{self._model}' could not count the prompt.") from exc
