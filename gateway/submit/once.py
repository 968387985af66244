"""When two submissions are one mail sent twice: pure.

The same key sends the same octets under the same Message-ID from the same reverse-path to the same recipient. A client
that lost the connection behind the final dot does so, and so does one whose recipients did not fit into one
transaction (452): then those are new, and only the Sent copy has been made already. Without a Message-ID of the
client's nothing is known to be the same: two equal messages are two messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from gateway.model.ids import InboxId
from gateway.model.recipient import Recipient


@dataclass(frozen=True, slots=True)
class Marks:
    """Digests of one message: `message` whoever gets it, then one a recipient.

    Several addresses of one inbox here are one recipient, for they get one copy.
    """

    message: bytes
    inboxes: dict[InboxId, bytes]
    addresses: dict[str, bytes]

    @property
    def all(self) -> list[bytes]:
        return [self.message, *self.inboxes.values(), *self.addresses.values()]


def marks(
    key: int, reverse_path: str, message_id: bytes, octets: bytes, *, inboxes: Iterable[InboxId],
    remote: Iterable[Recipient],
) -> Marks:
    """`octets`: SHA-256 of the message as it was received; `key`: the row id of the key that sends."""
    common = _digest(b"message", str(key).encode(), reverse_path.encode(), message_id, octets)
    return Marks(
        common,
        {inbox: _digest(b"inbox", common, str(inbox).encode()) for inbox in inboxes},
        {each.address: _digest(b"address", common, folded(each.address).encode()) for each in remote},
    )


def folded(address: str) -> str:
    """The address with its domain in lower case: the local part is its owner's business (RFC 5321 2.4)."""
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{domain.lower()}"


def _digest(*parts: bytes) -> bytes:
    """Each part with its length before it, so that no two lists of parts look the same."""
    return sha256(b"".join([b"%d:%b" % (len(part), part) for part in parts])).digest()
