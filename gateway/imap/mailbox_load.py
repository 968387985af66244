"""One page of a mailbox's first load, made in a reader process: arrays travel cheaply, rows would not."""

from __future__ import annotations

from array import array

from gateway.model.ids import MailboxId
from gateway.store import messages
from gateway.store.db import Rx

from .settings import LOAD_PAGE


def load_page(rx: Rx, mailbox_id: MailboxId, after: int) -> tuple[array[int], array[int], array[int]]:
    """UIDs, flag masks and MODSEQs of up to LOAD_PAGE messages above `after`."""
    uids, masks, modseqs = messages.load_arrays(rx, mailbox_id, after, LOAD_PAGE)
    return array("I", uids), array("Q", masks), array("Q", modseqs)
