"""From a good request to bytes that are no good HTTP: lines, lengths, chunks, ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from tests.fuzz.corpus import Request

Wire = Callable[[bytes, bytes, Random], bytes]

LENGTHS = [
    *(
        b"-1",
        b"+5",
        b"0x10",
        b"1e3",
        b"",
        b" ",
        b"99999999999999999999999999",
        b"18446744073709551616",
    ),
    *(b"5, 5", b"5\r\nContent-Length: 6", b"\xff", b"0", b"1000000000", b"9223372036854775807"),
]
SIZES = [
    b"-1",
    b"",
    b"g",
    b"FFFFFFFFFFFFFFFFFF",
    b"0x5",
    b"5 ",
    b"5;" + b"e" * 20_000,
    b"1" * 100,
    b"5\n",
]


def bad_wire(good: Sequence[Request], random: Random) -> bytes:
    """Take a good request's bytes and break their head or framing."""
    head, _, body = random.choice(good).wire().partition(b"\r\n\r\n")
    return random.choice(WIRES)(head, body, random)


def bad_line(head: bytes, body: bytes, random: Random) -> bytes:
    line, _, rest = head.partition(b"\r\n")
    method, target, version = line.split(b" ", 2)
    method = random.choice(
        (method, b"", b"G\0T", b"get", b"POST" * 300, b"PRI", b"FOO", b"\xff", b"CONNECT")
    )
    target = random.choice(
        (
            *(
                target,
                target,
                b"*",
                b"",
                b"http://fuzz" + target,
                b"//",
                b"?",
                b"fuzz:80",
                b"/" + b"a" * 70_000,
            ),
            *(
                b"/\xff\xfe",
                b"/\0",
                b"/v1/events\x7f",
                b"http://[::1",
                b"http://a:99999/",
                b"/a b",
                b"\\",
            ),
        )
    )
    version = random.choice(
        (version, b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.9", b"HTTP/", b"", b"x")
    )
    line = random.choice((b" ", b"  ", b"\t")).join((method, target, version))
    return line + b"\r\n" + rest + b"\r\n\r\n" + body


def bad_headers(head: bytes, body: bytes, random: Random) -> bytes:
    more = random.choice(
        (
            *(
                b"no colon",
                b": empty",
                b"a b: c",
                b"a\0: b",
                b"a: b\0c",
                b"a: b\rc",
                b" folded: x",
                b"\xff: \xfe",
            ),
            b"x: " + b"y" * random.choice((8_000, 60_000, 300_000)),
            b"x" * random.choice((8_000, 70_000)) + b": y",
            b"\r\n".join(b"x-%d: y" % number for number in range(random.choice((100, 3_000)))),
            *(
                b"Connection: close, upgrade\r\nUpgrade: websocket",
                b"Upgrade: h2c\r\nHTTP2-Settings: AAAA",
            ),
            *(
                b"Expect: 100-continue",
                b"Expect: 200-ok",
                b"Connection: \xff",
                b"Trailer: x",
                b"Host: a\r\nHost: b",
            ),
            *(b"Connection: keep-alive\r\nKeep-Alive: timeout=1", b"Cookie: " + b"a=b; " * 2_000),
        )
    )
    return head + b"\r\n" + more + b"\r\n\r\n" + body


def bad_length(head: bytes, body: bytes, random: Random) -> bytes:
    kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    kept += [b"Content-Length: " + random.choice(LENGTHS)] * random.choice((1, 1, 2))
    if random.random() < 0.3:
        kept.append(
            b"Transfer-Encoding: "
            + random.choice((b"chunked", b"gzip", b"chunked, chunked", b"\xff"))
        )
    return b"\r\n".join(kept) + b"\r\n\r\n" + body


def chunked(head: bytes, body: bytes, random: Random) -> bytes:
    kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    size = random.choice((1, 7, 100, 1 << 20))
    chunks = [body[at : at + size] for at in range(0, len(body), size)][:500]
    pieces = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks] + [b"0\r\n\r\n"]
    how, at = random.randrange(7), random.randrange(len(pieces))
    if how == 0:
        pieces[at] = random.choice(SIZES) + b"\r\n" + pieces[at]
    elif how == 1:
        pieces[at] = pieces[at].replace(b"\r\n", random.choice((b"\n", b"\r", b"", b"\r\n\r\n")), 1)
    elif how == 2:
        del pieces[at]
    elif how == 3:
        pieces[-1] = (
            b"0\r\n"
            + random.choice((b"x: y\r\n", b"\xff\r\n", b"a: " + b"b" * 70_000 + b"\r\n"))
            + b"\r\n"
        )
    elif how == 4:
        pieces[at] += random.randbytes(5)
    elif how == 5:
        pieces.insert(at, b"0\r\n\r\n")
    return b"\r\n".join([*kept, b"Transfer-Encoding: chunked"]) + b"\r\n\r\n" + b"".join(pieces)


def pipelined(head: bytes, body: bytes, random: Random) -> bytes:
    whole = head + b"\r\n\r\n" + body
    other = random.choice(
        (whole, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n", b"garbage\r\n\r\n", whole[:40])
    )
    return whole + other * random.choice((1, 2, 20))


def flipped(head: bytes, body: bytes, random: Random) -> bytes:
    changed = bytearray(head)
    for _ in range(random.choice((1, 1, 3))):
        at = random.randrange(len(changed) or 1)
        how = random.randrange(3)
        if how == 0 and changed:
            changed[at] = random.randrange(256)
        elif how == 1:
            del changed[at : at + random.choice((1, 2, 20))]
        else:
            changed[at:at] = random.choice(
                (b"\0", b"\r\n", b"\n", b"\xff", b" ", b":", random.randbytes(3))
            )
    return bytes(changed) + b"\r\n\r\n" + body


def cut(head: bytes, body: bytes, random: Random) -> bytes:
    whole = head + b"\r\n\r\n" + body
    return whole[: random.randrange(len(whole))]


def noise(head: bytes, body: bytes, random: Random) -> bytes:
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # of TLS
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
    return random.choice(
        (hello + random.randbytes(200), preface, random.randbytes(300), b"\0" * 5_000, b"\n" * 100)
    )


WIRES: tuple[Wire, ...] = (
    *(bad_line, bad_headers, bad_length, chunked, chunked, pipelined, flipped, flipped, cut, noise),
)
