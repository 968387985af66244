"""Fuzz targets of reports about mail: whatever comes in is read without an error, and what is read is safe to store."""

from __future__ import annotations

from contextlib import suppress

from gateway.delivery.foreign import Unreadable, read_foreign
from gateway.delivery.reports import MAX_IDS, MAX_RECIPIENTS, IncomingReport, address_key, read_report
from gateway.mime import may_be_report
from gateway.model import xtext


def incoming_reports(data: bytes) -> None:
    """A message: in RFC 3464's form, and in others'."""
    may_be_report(data)
    check(read_report(data))
    with suppress(Unreadable):
        check(read_foreign(data))


def original_recipients(data: bytes) -> None:
    """ORCPT and ENVID as a client writes them: what is taken shows nothing that is not printable."""
    text = data.decode("utf-8", "replace")
    for value in (xtext.decode(text), xtext.decode_utf8(text), *(xtext.original(text) or ())):
        assert value is None or value.isprintable()
    decoded = xtext.decode(text)
    assert decoded is None or xtext.decode(xtext.encode(decoded)) == decoded


def check(report: IncomingReport | None) -> None:
    if report is None:
        return
    assert 0 < len(report.said) <= MAX_RECIPIENTS
    assert len(report.message_ids) <= MAX_IDS
    for said in report.said:
        assert said.addresses
        for text in (*said.addresses, said.text, said.remote or ""):
            assert not set(text) & set("\r\n\0")
            text.encode()
        for address in said.addresses:
            address_key(address)
