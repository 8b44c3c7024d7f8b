"""A name server as small as one can be: what Docker's tells the router about replicas."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_A = 1
_NO_SUCH_NAME = 3
_AN_ANSWER = 0x8180  # a response, recursion asked for and available
_NAME_OF_THE_QUESTION = 0xC00C  # a pointer to it
_IN = 1
_TTL_S = 1
_HEADER_BYTES = 12


class Nameserver(asyncio.DatagramProtocol):
    """Answers with ``addresses``, IPv4 by name; a name that is not in it does not exist."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        name, end = _read_name(data)
        kind = struct.unpack_from("!H", data, end)[0]
        known = self.addresses.get(name)
        found = known if known is not None and kind == _A else []
        flags = _AN_ANSWER | (_NO_SUCH_NAME if known is None else 0)
        answer = struct.pack("!2s5H", data[:2], flags, 1, len(found), 0, 0)
        answer += data[_HEADER_BYTES : end + 4]
        for address in found:
            answer += struct.pack("!HHHIH", _NAME_OF_THE_QUESTION, _A, _IN, _TTL_S, 4)
            answer += socket.inet_aton(address)
        assert self._transport is not None
        self._transport.sendto(answer, addr)


def _read_name(question: bytes) -> tuple[str, int]:
    """Give the name that is asked for, and where it ends."""
    labels, at = [], _HEADER_BYTES
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels), at + 1


@asynccontextmanager
async def nameserver() -> AsyncIterator[tuple[Nameserver, str]]:
    """Run one on loopback; give it and its address."""
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        Nameserver, local_addr=("127.0.0.1", 0)
    )
    try:
        yield protocol, "127.0.0.1:{}".format(transport.get_extra_info("sockname")[1])
    finally:
        transport.close()
