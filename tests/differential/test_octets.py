"""All corpora and the hand-made broken mail on our server alone: every octet comes back, and nothing fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gateway.mime import (
    Scanner,
    base_subject,
    decode_body,
    decode_parts,
    decode_text,
    encode_parts,
    envelope_of,
    fields,
    index_fields,
    parse,
    parse_addresses,
    preview_of,
    text_of,
    text_parts,
)
from gateway.wire import render
from tests.differential import corpora
from tests.differential.client import Client, Refused
from tests.differential.corpora import Mail
from tests.support.gateway import Gateway, running


@pytest.fixture(scope="module")
def mails(missing: Callable[[str], None]) -> list[Mail]:
    for name in corpora.missing():
        missing(f"the corpus {name}")
    return corpora.as_they_are()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(Gateway(tmp_path_factory.mktemp("octets"))) as served:
        yield served


def test_every_octet_comes_back(gateway: Gateway, mails: list[Mail], request: pytest.FixtureRequest) -> None:
    """Bare LF and CR as they came; NUL goes out as 0x80, for no literal of RFC 3501 may hold it."""
    client = Client(gateway.imaps, gateway.tls(), gateway.address, gateway.key)
    request.addfinalizer(client.close)
    client.command(b"CREATE kept")
    with pytest.raises(Refused):  # RFC 3502 4: a message without octets cancels the APPEND
        client.append("kept", [b""])
    mails = [mail for mail in mails if mail.octets]
    client.append("kept", [mail.octets for mail in mails])
    client.command(b"SELECT kept")
    answers = client.fetch(b"RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[] BODY.PEEK[HEADER] BODY.PEEK[TEXT]")
    assert len(answers) == len(mails)
    for number, mail in enumerate(mails, 1):
        answer = answers[number]
        header, text, whole = answer["BODY[HEADER]"], answer["BODY[TEXT]"], answer["BODY[]"]
        assert isinstance(header, bytes)
        assert isinstance(text, bytes)
        assert whole == mail.octets.replace(b"\0", b"\x80"), mail.name
        assert header + text == whole, mail.name
        assert answer["RFC822.SIZE"] == b"%d" % len(mail.octets), mail.name
        assert isinstance(answer["ENVELOPE"], tuple)
        assert len(answer["ENVELOPE"]) == 10
    # Each text is looked through whole: nothing is left out for its encoding or charset, and nothing fails.
    for criteria in (b'TEXT "no such text anywhere"', b'BODY "no such text anywhere"', b'HEADER X "nothing"'):
        assert client.numbers(b"SEARCH " + criteria) == ()


def test_pieces_of_any_size_read_alike(mails: list[Mail]) -> None:
    for mail in mails:
        whole = parse(mail.octets)
        for size in (1, 7, 4096):
            if len(mail.octets) // size > 100_000:
                continue
            scanner = Scanner()
            for at in range(0, len(mail.octets), size):
                scanner.feed(mail.octets[at : at + size])
            assert scanner.finish() == whole, mail.name


def test_nothing_of_a_message_fails(mails: list[Mail]) -> None:
    """Each reader of `mime` over each message, also where a field or part makes no sense to it."""
    for mail in mails:
        message = parse(mail.octets)
        body = mail.octets[len(message.header) :]
        root = decode_parts(encode_parts(message.root))
        assert message.header + body == mail.octets
        render.body(message.root, True)
        render.envelope(envelope_of(index_fields(message.header)))
        for field in fields(message.header):
            decode_text(field.value).encode("utf-8")
            parse_addresses(field.raw)
            base_subject(decode_text(field.value))
        for part in text_parts(root):
            octets = decode_body(body[part.header_end : part.body_end], part.encoding)
            text_of(octets, part.charset, part.subtype).encode("utf-8")
        preview_of(root, lambda start, stop, body=body: body[start:stop])  # type: ignore[misc]
