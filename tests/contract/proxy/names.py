"""A name server of a few lines: it knows who is where, as Docker's does, and can be told otherwise."""

import asyncio
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import Final, cast

from storage.local.ports import free_port

A: Final = 1
ANSWERS: Final = 0x8180
"""The flags of an answer that was found."""

KEPT_S: Final = 1


class Names(asyncio.DatagramProtocol):
    """`places` are IPv4 addresses by names; a name without one is answered with none."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self.places = dict(places)
        self.port = free_port()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        question = data[12 : data.index(b"\0", 12) + 5]
        labels, rest = [], question
        while length := rest[0]:
            labels.append(rest[1 : 1 + length].decode())
            rest = rest[1 + length :]
        (kind,) = struct.unpack_from("!H", rest, 1)
        place = self.places.get(".".join(labels)) if kind == A else None
        answer = b"" if place is None else struct.pack("!HHHIH", 0xC00C, A, 1, KEPT_S, 4) + IPv4Address(place).packed
        head = data[:2] + struct.pack("!HHHHH", ANSWERS, 1, 1 if answer else 0, 0, 0)
        self._transport.sendto(head + question + answer, addr)


@asynccontextmanager
async def answering(names: Names) -> AsyncIterator[Names]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: names, local_addr=("127.0.0.1", names.port)
    )
    try:
        yield names
    finally:
        transport.close()
