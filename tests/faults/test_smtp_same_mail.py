"""The same mail twice: a retry sends nothing anew, the rest of a list goes out, and what differs is another mail."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.store import once, queue_admin
from gateway.store.db import Database, open_database
from gateway.submit.accept import Submissions
from gateway.submit.envelope import Accepted
from tests.faults.smtp_kit import USER, envelope_of, principal, run
from tests.faults.smtp_store import House, house
from tests.support.soak import examples

MESSAGE = b"From: Ann <ann@example.org>\r\nMessage-ID: <1@x>\r\nBcc: z@elsewhere.net\r\nSubject: hi\r\n\r\nhello\r\n"
X, Y, BOB, ANN = "x@elsewhere.net", "y@elsewhere.net", "bob@example.org", "ann@example.org"


async def submit(
    it: House, *recipients: str, message: bytes = MESSAGE, mail_from: str = USER, by: Submissions | None = None,
    **key: object,
) -> Accepted:  # fmt: skip
    arrival = (by or it.submissions).begin(envelope_of(principal(inbox_id=it.ann, **key), mail_from, recipients))
    try:
        await arrival.write(message)
        return await arrival.finish()
    finally:
        arrival.abort()


async def queued(it: House) -> list[str]:
    people = [person for entry in await it.queue() for person in entry.recipients]
    return sorted(person.address for person in people if person.domain == "elsewhere.net")


async def cancel(it: House) -> None:
    rows = await it.rows()
    await it.db.write(lambda tx: queue_admin.cancel(tx, rows, int(it.now)))


def test_a_retry_after_a_lost_reply_sends_one_mail(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            it.use_relay(25)
            first = await submit(it, X, BOB)
            it.now += 3_599
            second = await submit(it, BOB, X)
            assert (second.trace_id, second.submission, second.queued) == (first.trace_id, None, 0)
            assert await queued(it) == [X]
            assert len(await it.mail(it.bob)) == 1
            assert len(await it.mail(it.ann, "Sent")) == 1

    run(main())


def test_the_rest_of_a_list_goes_out_with_one_sent_copy(tmp_path: Path) -> None:
    """After 452 a client sends the same message to those who did not fit (RFC 5321 4.5.3.1.10)."""

    async def main() -> None:
        async with house(tmp_path) as it:
            it.use_relay(25)
            first = await submit(it, X, BOB)
            second = await submit(it, Y, ANN)
            assert second.trace_id != first.trace_id
            third = await submit(it, X, Y, BOB)
            assert (third.submission, third.trace_id) == (None, first.trace_id)
            assert await queued(it) == [X, Y]
            assert [len(await it.mail(inbox)) for inbox in (it.ann, it.bob)] == [1, 1]
            assert len(await it.mail(it.ann, "Sent")) == 1
            assert len(await it.queue()) == 2, "a retry has no history of its own"

    run(main())


def test_only_who_has_not_got_it_gets_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            it.use_relay(25)
            await submit(it, BOB)
            await submit(it, "bob+list@example.org", X, "ann+copy@example.org")
            assert [len(await it.mail(inbox)) for inbox in (it.ann, it.bob)] == [1, 1]
            assert await queued(it) == [X]
            [_, second] = await it.queue()
            assert [person.address for person in second.recipients] == ["ann+copy@example.org", X]

    run(main())


@pytest.mark.parametrize(
    "change",
    [
        {"message": MESSAGE + b"more\r\n"},
        {"message": MESSAGE.replace(b"Subject: hi", b"Subject: ho")},
        {"message": MESSAGE.replace(b"1@x", b"2@x")},
        {"mail_from": "ann+tag@example.org"},
        {"key_id": 2},
    ],
)
def test_what_differs_is_another_mail(tmp_path: Path, change: dict[str, object]) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            await submit(it, BOB)
            assert (await submit(it, BOB, **change)).submission is not None  # type: ignore[arg-type]
            assert len(await it.mail(it.bob)) == 2

    run(main())


def test_without_the_clients_message_id_two_are_two(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            for _ in range(2):
                await submit(it, BOB, message=b"From: ann@example.org\r\n\r\nalarm\r\n")
            assert len(await it.mail(it.bob)) == 2

    run(main())


def test_after_the_window_it_is_sent_again_and_the_janitor_forgets(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            await submit(it, BOB)
            it.now += 3_600
            assert (await submit(it, BOB)).submission is not None
            assert len(await it.mail(it.bob)) == 2
            now = int(it.now)
            assert await it.db.write(lambda tx: once.purge(tx, now - 1, 100)) == 0
            assert await it.db.write(lambda tx: once.purge(tx, now, 1)) == 1
            assert await it.db.write(lambda tx: once.purge(tx, now, 100)) == 1
            assert (await submit(it, BOB)).submission is not None

    run(main())


def test_what_came_to_nothing_may_be_sent_again(tmp_path: Path) -> None:
    """Somebody cancels, or gets a bounce, mends what was wrong and sends the same file: that is no retry."""

    async def main() -> None:
        async with house(tmp_path) as it:
            it.use_relay(25)
            first = await submit(it, X, BOB)
            await cancel(it)
            again = await submit(it, X, BOB)
            assert (again.queued, again.local) == (1, ())
            assert sorted(await it.states()) == ["cancelled", "queued", "sent"]
            assert len(await it.mail(it.bob)) == 1
            third = await submit(it, X, BOB)
            assert third.submission is None
            assert third.trace_id in (first.trace_id, again.trace_id)
            assert len(await it.mail(it.ann, "Sent")) == 1

    run(main())


def test_a_large_retry_leaves_nothing_behind(tmp_path: Path) -> None:
    """Its pieces were staged in the store; `house` ends with the consistency check."""

    async def main() -> None:
        async with house(tmp_path) as it:
            large = MESSAGE + b"line\r\n" * 150_000
            await submit(it, BOB, message=large)
            assert (await submit(it, BOB, message=large)).submission is None
            assert len(await it.mail(it.bob)) == 1

    run(main())


async def at_once(it: House, other: Database) -> None:
    """Two processes over one store get the same mail in the same moment."""
    it.use_relay(25)
    twin = Submissions(other, it.ingest, it.clock, it.submissions.settings, not_carried=it.submissions.not_carried)
    for number in range(8):
        message = MESSAGE.replace(b"1@x", b"%d@x" % number)
        found = await asyncio.gather(
            submit(it, X, BOB, message=message), submit(it, BOB, Y, X, message=message, by=twin)
        )
        assert sum(accepted.submission is None for accepted in found) <= 1
    assert await queued(it) == sorted([X, Y] * 8)
    assert len(await it.mail(it.bob)) == 8
    assert len(await it.mail(it.ann, "Sent")) == 8
    await twin.drain()


def test_two_nodes_at_once(tmp_path: Path, postgresql_url: str) -> None:
    async def main() -> None:
        async with house(tmp_path, postgresql_url) as it:
            other = open_database(postgresql_url)
            await other.start()
            try:
                await at_once(it, other)
            finally:
                await other.close()

    run(main())


RECIPIENTS = (X, Y, BOB, "Bob+a@example.org", ANN)


@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(RECIPIENTS), min_size=1, max_size=4, unique=True),
            st.sampled_from(["reply lost", "answered", "at once"]),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_any_sequence_of_retries_gives_each_recipient_one_mail(
    tmp_path_factory: pytest.TempPathFactory, tries: list[tuple[list[str], str]]
) -> None:
    """Whatever is tried again, with whom, and whether two tries run into each other."""

    async def main() -> None:
        async with house(tmp_path_factory.mktemp("house")) as it:
            it.use_relay(25)
            for recipients, how in tries:
                if how == "at once":
                    await asyncio.gather(submit(it, *recipients), submit(it, *reversed(recipients)))
                else:
                    await submit(it, *recipients)
            named = {recipient for recipients, _ in tries for recipient in recipients}
            assert await queued(it) == sorted(named & {X, Y})
            assert len(await it.mail(it.bob)) == bool(named & {BOB, "Bob+a@example.org"})
            assert len(await it.mail(it.ann)) == (ANN in named)
            assert len(await it.mail(it.ann, "Sent")) == 1

    run(main())
