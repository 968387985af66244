"""A message from here is upstream now: what came of an append, copy or move, written down before anybody pulls it."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.model.flags import SYSTEM_MASK
from gateway.model.ids import MailboxId
from gateway.store import messages
from gateway.store.db import Tx
from gateway.store.statements import Stmt
from gateway.store.threads import id_hash

from . import folders, lease, places, upstream
from .moves import Key
from .rows import Claim, Flags, Place, key_out, keywords_out, labels_out
from .tally import count_live

_LOCAL = Stmt(
    "SELECT m.size, m.internal_date, c.message_id, m.content_id FROM message m JOIN content_meta c"
    " ON c.id = m.content_id WHERE m.mailbox_id = :mailbox AND m.uid = :uid AND m.inbox_id = :inbox"
)
_INSERT = Stmt(
    "INSERT INTO remote_message (folder_id, uidvalidity, uid, system, keywords, labels, modseq, source_key, size,"
    " internal_date, id_hash) VALUES (:folder, :uidvalidity, :uid, :system, :keywords, :labels, :modseq, :source,"
    " :size, :date, :hash)"
)
_BACK = Stmt(
    "UPDATE remote_message SET gone = NULL WHERE folder_id = :folder AND uidvalidity = :uidvalidity AND uid = :uid"
)
_SOURCE = Stmt(
    "INSERT INTO local_source (connector_id, source_key, content_id) VALUES (:connector, :key, :content)"
    " ON CONFLICT (connector_id, source_key) DO UPDATE SET content_id = excluded.content_id"
)


def placed(
    tx: Tx, claim: Claim, key: Key, place: tuple[MailboxId, int, str], base: Flags, *,
    modseq: int | None = None, source_key: str | None = None, label: str | None = None,
    labels: Sequence[str] = (), looks: tuple[int, int, bytes | None] | None = None, now: int,
) -> bool:  # fmt: skip
    """Message `key` upstream is the local message `place` (mailbox, UID, EMAILID), and bears the flags `base`.

    `label`: what its place stands for, `labels`: what it bears if it is not known yet (Gmail). `looks`: size,
    INTERNALDATE and Message-ID, by which it is known again though the local message has left that place meanwhile.
    A pull may have been faster and have taken it for news: the second copy, which it made here, goes. A local message
    that was removed meanwhile has a place all the same, by which its removal is seen. False: the folder has another
    UIDVALIDITY now, nothing was done, and the remap finds it. LeaseLost, NotFound (the folder).
    """
    lease.fence(tx, claim, now)
    if folders.get(tx, claim.connector_id, key.folder_id).uidvalidity != key.uidvalidity:
        return False
    mailbox, local_uid, email_id = place
    source_key = key_out(source_key)
    wanted = Place(key.folder_id, key.uidvalidity, key.uid, mailbox, local_uid, email_id, label)
    known = places.messages_of(tx, key.folder_id, key.uidvalidity, [key.uid]).get(key.uid)
    where = {"folder": key.folder_id, "uidvalidity": key.uidvalidity, "uid": key.uid}
    row = tx.one(_LOCAL, mailbox=mailbox, uid=local_uid, inbox=claim.inbox_id)
    if known is None:
        size, date, message_id, content_id = row or (*(looks or (None, None, None)), None)
        tx.run(
            _INSERT, system=base[0] & SYSTEM_MASK, keywords=keywords_out(base[1]), labels=labels_out(labels),
            modseq=modseq, source=source_key, size=size, date=date, hash=id_hash(message_id) if message_id else None,
            **where,
        )  # fmt: skip
        count_live(tx, key.folder_id, key.uidvalidity, 1)
        if source_key is not None and content_id is not None:
            tx.run(_SOURCE, connector=claim.connector_id, key=source_key, content=content_id)
    else:
        upstream.keep_bases(tx, key.folder_id, key.uidvalidity, {key.uid: (base, modseq)})
        if known.gone is not None:
            tx.run(_BACK, **where)
            count_live(tx, key.folder_id, key.uidvalidity, 1)
        for other in places.places_of(tx, key.folder_id, key.uidvalidity, [key.uid]).get(key.uid, []):
            if other.mailbox_id == mailbox:
                if other.local_uid != local_uid:
                    messages.expunge(tx, claim.inbox_id, mailbox, [other.local_uid], only_deleted=False, now=now)
                places.drop_place(tx, other)
    earlier = places.places_at(tx, mailbox, [local_uid]).get(local_uid)
    if earlier is not None:
        places.drop_place(tx, earlier)
    places.insert_place(tx, wanted)
    return True
