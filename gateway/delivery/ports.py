"""What `delivery` needs of whoever keeps accounts elsewhere; wired by `app`, `NO_ACCOUNTS` where nobody does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.model.errors import GatewayError
from gateway.model.ids import ContentId, InboxId, SubmissionId
from gateway.outbound.endpoint import Endpoint
from gateway.outbound.failure import Failure
from gateway.outbound.sent_copy import AccountCopy
from gateway.store.db import Tx
from gateway.store.queue import QueueState

from .accounts import NOBODY, Account, AccountTable


class AccountUnavailable(GatewayError):
    """No server of the account can be asked now, or no login had for it. The text is for people.

    A `failure` that refuses logins (`failure.refuses_login`) makes the mail wait as one at the server does.
    """

    def __init__(self, failure: Failure, message: str) -> None:
        super().__init__(message)
        self.failure = failure


class AccountGone(AccountUnavailable):
    """It was removed, and the table does not have it any more: its mail is looked at anew."""


@dataclass(frozen=True, slots=True)
class RecipientEnd:
    """What became of one recipient. `state`: sent, deferred, bounced or held."""

    address: str
    state: QueueState
    code: int | None
    enhanced: str | None
    text: str


@dataclass(frozen=True, slots=True)
class SendReport:
    """One attempt to send one message of an account: what a SEND event is made of.

    `sent`: a server took it for some recipient at least. `failure`: of the account or its server, None where there was
    none or it was about the mail. `text`: the words that say most. `remote`: the server, None where none was asked.
    `fallback`: it went by the default relay. `copy`: what is to be done about the account's Sent; NONE where nothing
    was sent. `log`: lines for people, without secrets. `message_id` is without brackets, None where there is none.
    """

    account_id: int
    inbox_id: InboxId
    submission_id: SubmissionId
    submission: str
    content_id: ContentId
    message_id: bytes | None
    mail_from: str
    size: int
    at: int
    sent: bool
    failure: Failure | None
    text: str
    remote: str | None
    fallback: bool
    copy: AccountCopy
    recipients: tuple[RecipientEnd, ...]
    log: tuple[str, ...]


class Accounts(Protocol):
    """Accounts that mail goes out through. Nothing here is called where the table is empty."""

    @property
    def table(self) -> AccountTable:
        """As of now; asked often, so it is at hand."""

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """`changed` is called on the loop after each new table; the answer ends that."""

    async def endpoints(self, account: Account, *, renew: bool = False) -> Sequence[Endpoint]:
        """Servers of the account with a login that holds, the preferred one first; never none.

        AccountUnavailable, AccountGone.
        `renew`: the login of the last answer was just refused: an access token is fetched anew, where there is one.
        The same settings give equal endpoints, for connections are kept by them.
        """

    async def was_sent(self, account: Account, message_id: bytes, since: int) -> bool | None:
        """Whether the account's Sent has the message since a moment (Unix seconds); None: it cannot be told.

        Asked before a message is sent again whose outcome is unknown. So True only where what lies there can have come
        from the provider alone, and False only where the provider files what it takes: else None.
        """

    def report(self, tx: Tx, report: SendReport) -> None:
        """Within the unit that writes the outcome down, so that nothing is sent of which nobody is told.

        Writes a few rows and does not raise: it would keep the outcome from being written, and the mail would go again.
        """


class NoAccounts:
    """Nobody has any."""

    table = NOBODY

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    async def endpoints(self, account: Account, *, renew: bool = False) -> Sequence[Endpoint]:
        raise AccountUnavailable(Failure.DENIED, "There are no accounts")

    async def was_sent(self, account: Account, message_id: bytes, since: int) -> bool | None:
        return None

    def report(self, tx: Tx, report: SendReport) -> None:
        """There is nobody to be told."""


NO_ACCOUNTS: Final[Accounts] = NoAccounts()
