"""How many messages of a folder are there upstream and known here: exact, beside what EXISTS says."""

from __future__ import annotations

from gateway.store.db import Tx
from gateway.store.statements import Stmt

from .rows import FolderId

# Rows of an earlier UIDVALIDITY, which wait to be found again, are not counted.
_COUNT = Stmt("UPDATE remote_folder SET live = live + :count WHERE id = :folder AND uidvalidity = :uidvalidity")


def count_live(tx: Tx, folder_id: FolderId, uidvalidity: int, difference: int) -> None:
    """Inside a fenced unit: so many more, or less, of the folder's messages are there."""
    if difference:
        tx.do(_COUNT, folder=folder_id, uidvalidity=uidvalidity, count=difference)
