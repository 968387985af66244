"""What the keeper of an account is told of an attempt: pure, but for what the unit that writes the outcome looks up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.outbound.sent_copy import AccountCopy, account_copy
from gateway.outbound.verdict import Outcome, Verdict, clean
from gateway.store import queue_doubt
from gateway.store.addresses import spellings
from gateway.store.db import Tx
from gateway.store.queue import QueueItem

from .accounts import Account
from .policy import Decision
from .ports import RecipientEnd, SendReport


@dataclass(frozen=True, slots=True)
class Attempted:
    """One attempt of an account's mail. `fallback`: by the default relay. `copy`: what is known of Sent already."""

    account: Account
    outcomes: Sequence[Outcome]
    greeting: str = ""
    fallback: bool = False
    copy: AccountCopy | None = None


def send_report(
    tx: Tx,
    attempted: Attempted,
    items: Sequence[QueueItem],
    decisions: Sequence[Decision],
    remote: str | None,
    now: int,
) -> SendReport:
    """Of recipients of one submission, of which it reads the rest."""
    account, outcomes, first = attempted.account, attempted.outcomes, items[0]
    sent = any(outcome.verdict is Verdict.SENT for outcome in outcomes)
    worst = next((each for each in outcomes if each.verdict is not Verdict.SENT), outcomes[0])
    message_id, size = queue_doubt.message(tx, first.submission_id)
    ends = tuple(
        RecipientEnd(item.address, decision.state, decision.code, decision.enhanced, decision.text)
        for item, decision in zip(items, decisions, strict=True)
    )
    return SendReport(
        account_id=account.id,
        inbox_id=first.inbox_id,
        submission_id=first.submission_id,
        submission=first.submission_uuid,
        content_id=first.content_id,
        message_id=message_id,
        mail_from=first.mail_from,
        size=size,
        at=now,
        sent=sent,
        failure=worst.failure,
        text=_words(worst.code, worst.enhanced, worst.text),
        remote=remote,
        fallback=attempted.fallback,
        copy=_copy(attempted, first.mail_from, remote) if sent else AccountCopy.NONE,
        recipients=ends,
        log=(*_who(attempted, remote), *(f"<{end.address}>: {end.state} {_said(end)}" for end in ends)),
    )


def _copy(attempted: Attempted, sender: str, remote: str | None) -> AccountCopy:
    account = attempted.account
    if attempted.copy is not None:
        return attempted.copy
    if attempted.fallback:  # our relay files nothing in somebody else's account
        return account_copy(account.sent_policy, "", "", remembered=False)
    own = bool(set(spellings(sender)[:-1]) & set(account.addresses))
    return account_copy(
        account.sent_policy, remote or "", attempted.greeting, own_address=own, remembered=account.files_sent
    )


def _who(attempted: Attempted, remote: str | None) -> tuple[str, ...]:
    if remote is None:
        return ()
    by = " (the relay, in place of the account)" if attempted.fallback else ""
    return (clean(f"{remote}{by}: {attempted.greeting}").rstrip(": "),)


def _said(end: RecipientEnd) -> str:
    return _words(end.code, end.enhanced, end.text)


def _words(*words: int | str | None) -> str:
    return " ".join(str(word) for word in words if word)
