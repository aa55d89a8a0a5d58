"""Damage to bytes: at any place, or behind the checksums and headers of a format."""

import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence

NUMBERS = (b"0", b"-1", b"7", b"4294967296", b"99999999999999999999", b"1e999", b"NaN", b"null")
VALUES = (*NUMBERS, b"[]", b"{}", b'""', b"true", b'"\xff"', b"9" * 400, b"[" * 2000)
"""What takes the place of a number in text."""
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_WORDS = (0, 0xFF, 0x7F, 0x80, 1)


def mutated(content: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """The bytes with one to four things wrong.

    Args:
      content: a whole file.
      rng: decides what, and where.
      others: files that a part may come from.
    """
    if rng.random() < 0.02:
        return rng.randbytes(rng.choice((0, 1, 8, 300)))
    for _ in range(rng.randint(1, 4)):
        if not content:
            break
        content = rng.choice(_OPERATIONS)(content, rng, others or (content,))
    return content


def _flip(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    place = rng.randrange(len(content))
    return _with(content, place, bytes([content[place] ^ 1 << rng.randrange(8)]))


def _overwrite(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    size = rng.choice((1, 2, 4, 8))
    number = rng.choice((*_WORDS, 2 ** rng.randrange(8 * size), 2 ** (8 * size - 1) - 1))
    number &= 2 ** (8 * size) - 1
    return _with(
        content, _early(content, rng), number.to_bytes(size, rng.choice(("little", "big")))
    )


def _noise(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    return _with(content, _early(content, rng), rng.randbytes(rng.randint(1, 16)))


def _cut(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    return content[: rng.randrange(len(content))]


def _delete(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    place = rng.randrange(len(content))
    return content[:place] + content[place + rng.randint(1, 64) :]


def _repeat(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    place = rng.randrange(len(content))
    part = content[place : place + rng.randint(1, 64)]
    return content[:place] + part * rng.randint(2, 50) + content[place:]


def _splice(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others)
    return content[: rng.randrange(len(content))] + other[rng.randrange(len(other) or 1) :]


def _number(content: bytes, rng: random.Random, others: Sequence[bytes]) -> bytes:
    found = list(_NUMBER.finditer(content))
    if not found:
        return content
    match = rng.choice(found)
    return content[: match.start()] + rng.choice(VALUES) + content[match.end() :]


_OPERATIONS = (_flip, _overwrite, _noise, _cut, _delete, _repeat, _splice, _number, _number)


def _with(content: bytes, place: int, new: bytes) -> bytes:
    return content[:place] + new + content[place + len(new) :]


def _early(content: bytes, rng: random.Random) -> int:
    """A place: half of them among the first bytes, where headers are."""
    return rng.randrange(len(content) if rng.random() < 0.5 else min(len(content), 256))


def in_zip(content: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """An archive of which one member is mutated, whole as an archive: its checksums are right."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(written, "w") as target:
        names = source.namelist()
        victim = rng.choice(names)
        for name in names:
            member = source.read(name)
            target.writestr(name, mutated(member, rng) if name == victim else member)
    return written.getvalue()


def in_safetensors(content: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """A safetensors file whose header is mutated, and as long as it says."""
    (size,) = struct.unpack("<Q", content[:8])
    header = mutated(content[8 : 8 + size], rng)
    return struct.pack("<Q", len(header)) + header + content[8 + size :]


def in_description(content: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Our own file with a mutated description; everything else is right."""
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    about = mutated(header["__metadata__"]["cnnjax"].encode(), rng)
    header["__metadata__"]["cnnjax"] = about.decode(errors="replace")
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + size :]


def in_png(content: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """A PNG of which one chunk is mutated, with the right checksum."""
    chunks, place = [], 8
    while place + 8 <= len(content):
        (size,) = struct.unpack(">I", content[place : place + 4])
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + size]))
        place += 12 + size
    victim = rng.randrange(len(chunks))
    written = content[:8]
    for number, (kind, data) in enumerate(chunks):
        data = mutated(data, rng) if number == victim and data else data
        check = zlib.crc32(kind + data)
        written += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
    return written


def in_json(content: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """JSON of which one value is another, or gone; it is still JSON."""
    document = json.loads(content)
    places = [(node, key) for node in _nodes(document) for key in _keys(node)]
    node, key = rng.choice(places)
    if rng.random() < 0.2:
        del node[key]
    else:
        node[key] = rng.choice(_ODD)
    return json.dumps(document).encode()


_ODD = (0, -1, 7, 2**32, 10**20, 1e308, -0.5, None, True, "", "x", "9" * 400, "-1", "0", "7",
        f"{10**20}", "../..", "/dev/zero", "a\nb", "\x00", "Ж", [], {}, [[]], {"a": 1})  # fmt: skip


def _nodes(value: object) -> Iterator[list | dict]:
    if isinstance(value, list | dict):
        yield value
        for key in _keys(value):
            yield from _nodes(value[key])


def _keys(node: list | dict) -> list:
    return list(range(len(node)) if isinstance(node, list) else node)


def in_bits(content: bytes, rng: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Bytes of which one to four bits are others, none of them in a padding with zeros."""
    harmed = bytearray(content)
    places = [place for place, byte in enumerate(content) if byte]
    for place in rng.sample(places, min(len(places), rng.randint(1, 4))):
        harmed[place] ^= 1 << rng.randrange(8)
    return bytes(harmed)
