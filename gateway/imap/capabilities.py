"""What the server says it can do; a capability stands here only when its transcripts exist."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from gateway.wire import sasl

from .settings import ImapSettings

_REVISIONS: Final = b"IMAP4rev1 IMAP4rev2"  # RFC 3501, and RFC 9051 for who enables it
_ALWAYS: Final = b" ".join(
    (
        b"LITERAL+",  # RFC 7888; never LITERAL- beside it
        b"INPROGRESS",  # RFC 9585
        b"UTF8=ACCEPT",  # RFC 6855, RFC 9755
        b"ID",  # RFC 2971
        b"LANGUAGE",  # RFC 5255
        b"I18NLEVEL=1",
        b"ENABLE",  # RFC 5161
        b"IDLE",  # RFC 2177
        b"NOTIFY",  # RFC 5465
        b"NAMESPACE",  # RFC 2342
        b"UIDPLUS",  # RFC 4315
        b"MULTIAPPEND",  # RFC 3502
        b"CATENATE URL-PARTIAL",  # RFC 4469, RFC 5550 5.7.1
        b"REPLACE",  # RFC 8508
        b"URLAUTH URLAUTH=BINARY",  # RFC 4467, RFC 5524
        b"BINARY",  # RFC 3516
        b"PREVIEW",  # RFC 8970
        b"MOVE",  # RFC 6851
        b"ESEARCH",  # RFC 4731
        b"SEARCHRES",  # RFC 5182
        b"WITHIN",  # RFC 5032
        b"SEARCH=FUZZY",  # RFC 6203
        b"SORT SORT=DISPLAY",  # RFC 5256, RFC 5957
        b"ESORT CONTEXT=SEARCH CONTEXT=SORT",  # RFC 5267
        b"PARTIAL",  # RFC 9394
        b"SAVEDATE",  # RFC 8514
        b"MULTISEARCH",  # RFC 7377
        b"FILTERS",  # RFC 5466
        b"THREAD=ORDEREDSUBJECT THREAD=REFERENCES THREAD=REFS",  # RFC 5256
        b"UNSELECT",  # RFC 3691
        b"CONDSTORE QRESYNC",  # RFC 7162
        b"UIDONLY",  # RFC 9586
        b"CHILDREN",  # RFC 3348
        b"LIST-EXTENDED",  # RFC 5258
        b"LIST-STATUS",  # RFC 5819
        b"LIST-METADATA",  # RFC 9590
        b"STATUS=SIZE",  # RFC 8438
        b"OBJECTID",  # RFC 8474
        b"METADATA",  # RFC 5464
        b"METADATA-SERVER",
        b"QUOTA QUOTASET QUOTA=RES-STORAGE QUOTA=RES-MESSAGE QUOTA=RES-MAILBOX",  # RFC 9208
        b"CREATE-SPECIAL-USE",  # RFC 6154
        b"SPECIAL-USE",  # the last one, so that transcripts can say where the list ends
    )
)
CONDSTORE: Final = frozenset({"CONDSTORE"})

ENABLES: Final[dict[str, frozenset[str]]] = {
    "CONDSTORE": CONDSTORE,  # RFC 7162 3.1
    "QRESYNC": CONDSTORE | {"QRESYNC"},  # RFC 7162 3.2.3
    "UIDONLY": frozenset({"UIDONLY"}),  # RFC 9586
    "UTF8=ACCEPT": frozenset({"UTF8=ACCEPT"}),  # RFC 6855 3
    "IMAP4REV2": frozenset({"IMAP4REV2"}),  # RFC 9051 6.3.1
    "METADATA": frozenset({"METADATA"}),  # RFC 5464 4.1
    "METADATA-SERVER": frozenset({"METADATA-SERVER"}),
}
"""What ENABLE knows: each name in capitals, with what it switches on (itself, and what it implies)."""


@lru_cache
def listed(settings: ImapSettings, *, secure: bool, can_start_tls: bool, can_bind: bool, logged_in: bool) -> bytes:
    """The capability list for a moment of the session. Before login it is whole: many clients never ask again.

    `can_bind`: the TLS is ours, so logins can be bound to it.
    """
    words = [_REVISIONS, b"APPENDLIMIT=%d" % settings.max_message_size]  # RFC 7889
    if settings.message_limit:
        words.append(b"MESSAGELIMIT=%d" % settings.message_limit)  # RFC 9738
    if settings.compress:
        words.append(b"COMPRESS=DEFLATE")  # RFC 4978
    if settings.unauthenticate:
        words.append(b"UNAUTHENTICATE")  # RFC 8437
    words.append(_ALWAYS)
    if not logged_in:
        words.append(b"SASL-IR")  # RFC 4959
        if secure:
            words += [b"AUTH=" + name.encode("ascii") for name in sasl.names(binds=can_bind)]
        else:
            # RFC 3501 6.2.3 and 11.1: no login in the clear.
            words += [b"STARTTLS"] * can_start_tls + [b"LOGINDISABLED"]
    return b" ".join(words)
