"""What acceptance remembers of addresses for a second, and what makes it ask again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from gateway.model.errors import SenderNotAuthorized
from gateway.model.ids import InboxId, MailboxId, PodId
from gateway.store import addresses, inboxes, mailboxes
from gateway.store.addresses import Local, Remote, UnknownLocal
from gateway.store.db import Rx
from gateway.submit.directory import INLINE_INBOXES, SECONDS, Directory, View
from gateway.submit.errors import UnknownRecipient
from tests.faults.smtp_kit import USER, envelope_of, principal, run
from tests.faults.smtp_store import House, house

T = TypeVar("T")
MESSAGE = b"From: ann@example.org\r\n\r\nhello\r\n"


class Asked:
    """Counts the reads of a store."""

    def __init__(self, it: House) -> None:
        self.times = 0
        self._real = it.db.tiny
        it.db.tiny = self._tiny  # type: ignore[method-assign]

    async def _tiny(self, query: Callable[[Rx], T]) -> T:
        self.times += 1
        return await self._real(query)


async def submit(it: House, *recipients: str) -> None:
    arrival = it.submissions.begin(envelope_of(principal(inbox_id=it.ann), USER, recipients))
    await arrival.write(MESSAGE)
    await arrival.finish()


def test_a_second_message_asks_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            it.use_relay(25)
            it.submissions.directory = Directory(it.db, now=lambda: 5.0)
            await submit(it, "bob@example.org", "eve@elsewhere.net")
            asked = Asked(it)
            await it.submissions.check_sender(principal(inbox_id=it.ann), USER)
            await it.submissions.check_recipient(principal(inbox_id=it.ann), USER, "bob@example.org")
            await submit(it, "bob@example.org", "eve@elsewhere.net")
            assert asked.times == 0
            assert len(await it.mail(it.bob)) == len(await it.mail(it.ann, "Sent")) == 2

    run(main())


def test_it_is_remembered_for_a_second(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            now = [5.0]
            directory = Directory(it.db, now=lambda: now[0])
            asked = Asked(it)
            for at, times in ((5.0, 1), (5.0 + SECONDS * 0.9, 1), (5.0 + SECONDS, 2), (5.5 + SECONDS, 2)):
                now[0] = at
                assert await directory.ask(lambda view: view.recipient("bob@example.org")) == Local(it.bob)
                assert asked.times == times

    run(main())


def test_one_scope_learns_nothing_from_another(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            await it.submissions.check_sender(principal(inbox_id=it.ann), USER)
            with pytest.raises(SenderNotAuthorized):
                await it.submissions.check_sender(principal(inbox_id=it.bob), USER)

    run(main())


def test_an_address_that_goes_or_comes_counts_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            it.submissions.directory = Directory(it.db, now=lambda: 5.0)
            who, alias = principal(inbox_id=it.ann), "sales@example.org"
            for _ in range(2):
                with pytest.raises(UnknownRecipient):
                    await it.submissions.check_recipient(who, USER, alias)
                await it.db.write(lambda tx: addresses.add_address(tx, it.ann, alias))
                await it.submissions.check_recipient(who, USER, alias)
                await it.submissions.check_sender(who, alias)
                await it.db.write(lambda tx: addresses.delete_address(tx, alias))
                with pytest.raises(SenderNotAuthorized):
                    await it.submissions.check_sender(who, alias)

    run(main())


def test_a_deleted_inbox_counts_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            it.submissions.directory = Directory(it.db, now=lambda: 5.0)
            await submit(it, "bob@example.org")
            await it.db.write(lambda tx: inboxes.delete_inbox(tx, it.bob, now=1_800_000_000))
            with pytest.raises(UnknownRecipient):
                await submit(it, "bob@example.org")

    run(main())


def test_what_is_missing_is_not_remembered(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            directory = Directory(it.db, now=lambda: 5.0)
            asked = Asked(it)

            def nobody(view: View) -> Any:
                return (view.recipient("bbo@example.org"), view.owner(principal(inbox_id=it.ann), "bob@example.org"))

            for times in (1, 2):
                assert await directory.ask(nobody) == (UnknownLocal(), None)
                assert asked.times == times
            assert await directory.ask(lambda view: view.recipient("x@elsewhere.net")) == Remote()

    run(main())


def test_a_change_during_the_read_is_not_hidden_by_its_answer(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            directory = Directory(it.db, now=lambda: 5.0)

            def ask(view: View) -> Any:
                found = view.recipient("bob@example.org")
                directory.forget()  # as a wake-up does while another thread reads
                return found

            await directory.ask(ask)
            asked = Asked(it)
            await directory.ask(lambda view: view.recipient("bob@example.org"))
            assert asked.times == 1

    run(main())


def test_a_sent_mailbox_that_went_is_made_again(tmp_path: Path) -> None:
    """Nobody is told of it: the unit finds it missing, and is told anew."""

    async def main() -> None:
        async with house(tmp_path) as it:
            it.submissions.directory = Directory(it.db, now=lambda: 5.0)
            await submit(it, "bob@example.org")
            await it.db.write(lambda tx: mailboxes.delete(tx, it.ann, "Sent", now=1_800_000_000))
            await submit(it, "bob@example.org")
            assert len(await it.mail(it.ann, "Sent")) == 1
            assert len(await it.mail(it.bob)) == 2, "and nothing is there twice"

    run(main())


def test_a_question_about_many_inboxes_is_none_for_the_loop(tmp_path: Path) -> None:
    """Lists that look at twenty authors and forty answers for a hundred recipients take half a second."""

    async def main() -> None:
        async with house(tmp_path) as it:
            names = [f"u{number}@example.org" for number in range(INLINE_INBOXES + 1)]
            for name in names:
                await it.db.write(lambda tx, name=name: inboxes.create_inbox(tx, PodId(1), name, now=1))  # type: ignore[misc]
            asked: list[int] = []

            class Watched(View):
                def inbox_mailbox(self, inbox: InboxId) -> MailboxId | None:
                    if self._rx is not None:
                        asked.append(threading.get_ident())
                    return super().inbox_mailbox(inbox)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("gateway.submit.directory.View", Watched)
                it.submissions.directory.forget()
                await submit(it, *names)
                assert len(asked) >= len(names)
                assert threading.get_ident() not in asked
                asked.clear()
                it.submissions.directory.forget()
                await submit(it, "bob@example.org")
                assert asked == [threading.get_ident()], "few are asked about where it costs least"

    run(main())
