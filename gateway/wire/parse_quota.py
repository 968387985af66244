"""GETQUOTA, GETQUOTAROOT and SETQUOTA (RFC 9208 7)."""

from __future__ import annotations

from gateway.model import names

from .commands import Command, GetQuota, GetQuotaRoot, SetQuota
from .tokens import MAX_NUMBER64, Cursor, Malformed


def getquota(cursor: Cursor, tag: bytes) -> Command:
    cursor.space()
    return GetQuota(tag, cursor.astring("a quota root"))


def getquotaroot(cursor: Cursor, tag: bytes) -> Command:
    cursor.space()
    return GetQuotaRoot(tag, names.canonical(cursor.mailbox()))


def setquota(cursor: Cursor, tag: bytes) -> Command:
    cursor.space()
    root = cursor.astring("a quota root")
    cursor.space()

    def limit() -> tuple[str, int]:
        resource = cursor.keyword("a resource name")
        cursor.space()
        return resource, cursor.number(limit=MAX_NUMBER64)

    limits = cursor.listed(limit, empty=True)
    if len(dict(limits)) < len(limits):
        raise Malformed("A resource is named twice")
    return SetQuota(tag, root, tuple(limits))
