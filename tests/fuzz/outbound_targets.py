"""Fuzz targets of what goes out: a server's replies, and messages for one that takes less than they need."""

from __future__ import annotations

import asyncio

from gateway.mime import PartNode, decoder_for, node_of, parse
from gateway.mime.transcode import CannotConvert, converted, plan, walk
from gateway.model.body import PartKind
from gateway.outbound.dots import DotStuffer
from gateway.outbound.replies import MAX_REPLY, BadReply, Reply, ReplyParser


def server_replies(data: bytes) -> None:
    """A server's octets, in pieces as the first one says: the same replies as in one piece, and none without a code."""
    if not data:
        return
    size, octets = data[0] + 1, data[1:]
    pieces = [octets[at : at + size] for at in range(0, len(octets), size)]
    found = replies_of(pieces)
    assert found == replies_of([octets])
    for reply in found:
        assert 200 <= reply.code < 600
        assert len(reply.text) <= MAX_REPLY


def replies_of(pieces: list[bytes]) -> list[Reply]:
    """Up to the first that is none."""
    parser = ReplyParser()
    found = []
    try:
        for piece in pieces:
            for reply in parser.feed(piece):
                found.append(reply)
    except BadReply:
        pass
    return found


def going_out(data: bytes) -> None:
    """A message for who takes no eight bits, or (the first octet) no binary: it says the same, or does not go."""
    if not data:
        return
    eight_bit, octets = bool(data[0] & 1), data[1:]
    made = asyncio.run(changed(octets, eight_bit))
    clean(octets if made is None else made)
    if made is None:
        return
    assert eight_bit or made.isascii()
    before, after = parse(octets), parse(made)
    ones, others = walk(node_of(before.root)), walk(node_of(after.root))
    assert [(node.kind, node.type, node.subtype) for node in ones] == [
        (node.kind, node.type, node.subtype) for node in others
    ]
    for one, other in zip(ones, others, strict=True):
        if one.kind is PartKind.LEAF:
            assert said(one, octets[len(before.header) :]) == said(other, made[len(after.header) :])
    assert asyncio.run(changed(made, eight_bit)) == made


async def changed(octets: bytes, eight_bit: bool) -> bytes | None:
    found = parse(octets)
    root, body = node_of(found.root), octets[len(found.header) :]

    async def read(start: int, stop: int) -> bytes:
        return body[start:stop]

    try:
        changes = await plan(found.header, root, len(body), read, eight_bit=eight_bit)
    except CannotConvert:
        return None
    return b"".join([chunk async for chunk in converted(found.header, root, len(body), read, changes)])


def said(node: PartNode, body: bytes) -> bytes:
    decoder = decoder_for(node.encoding)
    octets = body[node.header_end : node.body_end]
    return octets if decoder is None else decoder.feed(octets) + decoder.finish()


def clean(octets: bytes) -> None:
    """By DATA: one end, and it is the last."""
    stuffer = DotStuffer()
    sent = b"".join(stuffer.feed(octets[at : at + 7]) for at in range(0, len(octets), 7)) + stuffer.finish()
    bare = sent.replace(b"\r\n", b"")
    assert not set(bare) & set(b"\r\n\0")
    assert (b"\r\n" + sent).index(b"\r\n.\r\n") == len(sent) - 3
