"""The special uses that a mailbox can be given here (RFC 6154 2): one each, and one mailbox each."""

from __future__ import annotations

from typing import Final

SUPPORTED: Final = {
    name.lower(): name for name in ("\\Archive", "\\Drafts", "\\Junk", "\\Sent", "\\Trash")
}
"""In small letters -> the RFC's spelling. \\All and \\Flagged would be mailboxes that hold others' messages."""
