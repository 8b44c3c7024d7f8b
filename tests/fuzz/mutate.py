"""From a good request to a bad one: what is changed in its body, its parameters, its headers.

Everything comes out of a `Random`, so a case is the same again for the same seed.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from backports import zstd

from tests.fuzz import json_text
from tests.fuzz.corpus import Request
from tests.fuzz.words import HEADER_VALUES, HEADERS, METHODS, NAMES, PATHS, TEXTS

Change = Callable[[Request, Random, Sequence[Request]], Request]


def mutated(good: Sequence[Request], random: Random) -> Request:
    """Take a good request and change something of it, mostly one kind of thing, sometimes two."""
    weights = (35, 12, 18, 12, 10, 8)
    request = random.choice(good)
    for change in random.choices(CHANGES, weights, k=random.choice((1, 1, 1, 2))):
        request = change(request, random, good)
    return request


def change_json(request: Request, random: Random, good: Sequence[Request]) -> Request:
    """Change the body as a JSON value; of NDJSON one of its lines."""
    if not request.body:
        return change_parameters(request, random, good)
    *before, line = request.body.split(b"\n")
    try:
        value = json_text.parse(line)
    except (ValueError, RecursionError):
        return change_bytes(request, random, good)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        value = json_text.change(value, random)
    lines = [*before, json_text.dump(value)]
    random.shuffle(lines)
    return replace(request, body=b"\n".join(lines))


def change_bytes(request: Request, random: Random, good: Sequence[Request]) -> Request:
    """Change the body as bytes."""
    body = bytearray(request.body or random.choice(good).body)
    for _ in range(random.choice((1, 1, 2, 8))):
        at = random.randrange(len(body) + 1)
        end = min(len(body), at + random.choice((1, 2, 10, 200)))
        how = random.randrange(8)
        if how == 0 and at < len(body):
            body[at] ^= 1 << random.randrange(8)
        elif how == 1:
            body[at:at] = random.randbytes(random.choice((1, 4, 100)))
        elif how == 2:
            del body[at:end]
        elif how == 3:
            body[at:at] = body[at:end]
        elif how == 4:
            del body[at:]
        elif how == 5:
            body[at:at] = random.choice(good).body
        elif how == 6:
            mark = (b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"\xed\xa0\x80", b"\xc0\xaf", b"\x1e")
            body[at:at] = random.choice(mark)
        else:
            body[at:at] = random.choice(
                (b"\n", b"\r\n", b"{", b"]", b'"', b",", b"\\", b" " * 5_000)
            )
    return replace(request, body=bytes(body))


def change_parameters(request: Request, random: Random, good: Sequence[Request]) -> Request:
    """Change the parameters of the URL, or its path."""
    parameters = list(request.parameters)
    path = request.path
    for _ in range(random.choice((1, 1, 2, 3))):
        at = random.randrange(len(parameters)) if parameters else None
        how = random.randrange(7)
        if how == 0 or at is None:
            parameters.append((random.choice(NAMES), random.choice(TEXTS)))
        elif how == 1:
            parameters[at] = (parameters[at][0], random.choice(TEXTS))
        elif how == 2:
            del parameters[at]
        elif how == 3:
            parameters.append(parameters[at])
        elif how == 4:
            parameters[at] = (parameters[at][0], flipped(parameters[at][1], random))
        elif how == 5:
            parameters[at] = (random.choice(NAMES), parameters[at][1])
        else:
            path = random.choice((path + random.choice(TEXTS[:40]), random.choice(PATHS)))
    return replace(request, parameters=parameters, path=path.replace("#", "%23"))


def flipped(text: str, random: Random) -> str:
    """Another character somewhere, one less, or one more: of cursors, most of all."""
    at = random.randrange(len(text) + 1)
    letter = random.choice("AZaz09-_=%+é")
    how = random.randrange(3)
    return text[:at] + (letter if how else "") + text[at + (how != 1) :]


def change_headers(request: Request, random: Random, good: Sequence[Request]) -> Request:
    """Change, add, repeat or leave out headers; or the method."""
    headers = list(request.headers)
    method = request.method
    for _ in range(random.choice((1, 1, 2, 3))):
        at = random.randrange(len(headers)) if headers else None
        how = random.randrange(7)
        if how == 0 or at is None:
            headers.append((random.choice(HEADERS), header_value(random)))
        elif how <= 2:
            headers[at] = (headers[at][0], header_value(random))
        elif how == 3:
            del headers[at]
        elif how == 4:
            headers.append(headers[at])
        elif how == 5:
            headers[at] = (headers[at][0], flipped(headers[at][1], random))
        else:
            method = random.choice(METHODS)
    return replace(request, headers=headers, method=method)


def header_value(random: Random) -> str:
    """A word out of the list, or any bytes that a header may hold."""
    if random.random() < 0.7:
        return random.choice(HEADER_VALUES)
    allowed = [code for code in range(256) if code >= 32 and code != 127]
    found = bytes(random.choices(allowed, k=random.choice((1, 5, 30))))
    return found.decode("utf-8", "surrogateescape")


def change_encoding(request: Request, random: Random, good: Sequence[Request]) -> Request:
    """Pack the body, say so or say something else, and mostly break what was packed."""
    body = request.body or random.choice(good).body
    if random.random() < 0.02:
        body = random.choice((b"{", b"[", b" ", b"[0,", b"\n")) * random.choice((40 << 20, 3 << 20))
    packers: dict[str, Callable[[bytes], bytes]] = {
        "gzip": lambda data: gzip.compress(data, 1),
        "deflate": lambda data: zlib.compress(data, 1),
        "zstd": lambda data: zstd.compress(data, 1),
    }
    name = random.choice(tuple(packers))
    packed = packers[name](body)
    if random.random() < 0.6:
        packed = change_bytes(replace(request, body=packed), random, good).body
    if random.random() < 0.2:
        name = random.choice(HEADER_VALUES[:14])
    headers = [*request.headers, ("Content-Encoding", name)]
    return replace(request, headers=headers, body=packed, method="POST")


def swap_body(request: Request, random: Random, good: Sequence[Request]) -> Request:
    """Send one call's body to another."""
    return replace(request, body=random.choice(good).body, method="POST")


CHANGES: tuple[Change, ...] = (
    change_json,
    change_bytes,
    change_parameters,
    change_headers,
    change_encoding,
    swap_body,
)
