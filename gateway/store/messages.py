"""Messages of mailboxes: arrival, flags, copies, removal and reads. One name for what several modules do.

All of them change an inbox only under its counter (`store.counters`), keep the counters of mailbox and inbox exact, and
wake who watches the mailbox once the unit is committed.
"""

from __future__ import annotations

from .append import Appended, append
from .deliver import deliver
from .expunge import Expunged, deleted_uids, expunge
from .flags import FlagOperation, FlagsStored, flag_mask, store_flags
from .keywords import keywords_of
from .rows import LOAD_PAGE, Columns, expunged_rows, fetch_rows, load, load_arrays
from .transfer import Copied, copy, move
from .uidsets import CUT, cuts

__all__ = [
    "CUT",
    "LOAD_PAGE",
    "Appended",
    "Columns",
    "Copied",
    "Expunged",
    "FlagOperation",
    "FlagsStored",
    "append",
    "copy",
    "cuts",
    "deleted_uids",
    "deliver",
    "expunge",
    "expunged_rows",
    "fetch_rows",
    "flag_mask",
    "keywords_of",
    "load",
    "load_arrays",
    "move",
    "store_flags",
]
