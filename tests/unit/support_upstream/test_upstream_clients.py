"""The scripted upstream, spoken to by other people's clients: imaplib and IMAPClient."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pytest
from imapclient import IMAPClient  # type: ignore[import-untyped]

from tests.support.upstream import DOVECOT, PERSONALITIES, FakeUpstream, Personality, example

Result = TypeVar("Result")


def with_client(server: FakeUpstream, dialogue: Callable[[IMAPClient], Result]) -> Result:
    """In a thread: the client, logged in by what the server offers."""
    client = IMAPClient(server.host, server.port, ssl=False, timeout=30)
    try:
        if b"LOGINDISABLED" in client.capabilities():
            client.oauth2_login(server.account.user, server.account.token)
        else:
            client.login(server.account.user, server.account.password)
        if client.has_capability("ID"):
            client.id_({"name": "test"})
        return dialogue(client)
    finally:
        client.logout()


@pytest.mark.parametrize("personality", PERSONALITIES.values(), ids=lambda one: one.name)
def test_each_personality_serves_its_mail(personality: Personality) -> None:
    mails = [example(number) for number in (1, 2, 3)]

    def dialogue(client: IMAPClient) -> dict[int, bytes]:
        names = [name for _, _, name in client.list_folders()]
        assert "INBOX" in [name.upper() for name in names]
        assert client.select_folder("INBOX")[b"EXISTS"] == 3
        assert client.search() == [1, 2, 3]
        client.add_flags([2], [b"\\Seen"])
        return {uid: row[b"BODY[]"] for uid, row in client.fetch([1, 2, 3], ["FLAGS", "BODY.PEEK[]"]).items()}

    async def run() -> None:
        async with FakeUpstream(personality, mailboxes={"INBOX": mails}) as server:
            found = await asyncio.to_thread(with_client, server, dialogue)
            assert found == dict(zip((1, 2, 3), mails, strict=True))
            box = server.account.mailbox("INBOX")
            assert [placed.mail.flags for placed in box.places.values()] == [set(), {"\\Seen"}, set()]
            assert not server.violations
            assert server.commands("STORE")

    asyncio.run(run())


def test_idle_pushes_what_others_do() -> None:
    async def run() -> None:
        async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 2}) as server:
            loop, waiting = asyncio.get_running_loop(), asyncio.Event()

            def dialogue(client: IMAPClient) -> list[object]:
                client.select_folder("INBOX")
                client.idle()
                # Only now: what came with the `+` would lie in the client's buffer, where idle_check does not look.
                loop.call_soon_threadsafe(waiting.set)
                told: list[object] = client.idle_check(timeout=30)
                return [*told, *client.idle_done()[1]]

            talking = asyncio.create_task(asyncio.to_thread(with_client, server, dialogue))
            await waiting.wait()
            assert server.idling("INBOX") == 1
            server.deliver()
            server.set_flags("INBOX", 2, ["\\Flagged"])
            server.expunge("INBOX", 1)
            assert await talking == [(1, b"EXPUNGE"), (2, b"EXISTS"), (1, b"FETCH", (b"FLAGS", (b"\\Flagged",)))]
            assert not server.violations

    asyncio.run(run())
