"""Delivery to webhooks on both databases, to a receiver that is a function: cursors, leases, retries, giving up."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.access.events_place import Place, whole
from gateway.model.errors import InvalidRequest
from gateway.model.permissions import BUNDLES
from gateway.outbound.failure import Failure
from gateway.outbound.http import HttpAnswer, HttpFailed
from gateway.store import messages, snapshot, webhooks
from gateway.store import webhook_cursors as cursors
from gateway.store.db import Database, Tx
from gateway.store.inboxes import Inbox
from gateway.store.master_key import KeyFile
from gateway.store.sealing import Sealer
from gateway.store.vault import Vault
from gateway.store.webhooks import Tried, Webhook, WebhookNew
from gateway.web.webhooks import signing
from gateway.web.webhooks.runner import WebhookRunner, place_in, position_of
from gateway.web.webhooks.sender import Sender
from gateway.web.webhooks.settings import DAY, WebhookSettings, delay

from .helpers import NOW, mailbox_id, make_inbox, put

OK = HttpAnswer(200, {}, b"ok")
Answer = HttpAnswer | HttpFailed


class World:
    """A store with a runner whose receiver answers as `answer` says, and a clock that the test sets."""

    def __init__(self, db: Database, directory: Path) -> None:
        self.db = db
        self.now = float(NOW)
        self.vault = Vault(db, KeyFile(directory / "master.key"))
        self.told: list[tuple[str, str, dict[str, str]]] = []
        self.answer: Callable[[dict[str, Any]], Answer] = lambda event: OK
        self.heard = asyncio.Event()
        self.settings = WebhookSettings()

    async def post(self, url: str, octets: bytes, *, headers: dict[str, str]) -> HttpAnswer:
        event = json.loads(octets)
        self.told.append((url, event["id"], headers))
        self.heard.set()
        await asyncio.sleep(0)  # as a real one, it lets others have a turn
        answer = self.answer(event)
        if isinstance(answer, HttpFailed):
            raise answer
        return answer

    async def hook(self, scope: str, inbox: Inbox | None = None, **more: Any) -> Webhook:
        new = WebhookNew(
            scope, inbox.pod_id if inbox else None, inbox.id if inbox and scope == "inbox" else None, "",
            more.pop("url", "https://hook.test/"), more.pop("types", ()), BUNDLES["read"],
        )  # fmt: skip

        def unit(tx: Tx, sealer: Sealer) -> Webhook:
            sealed = sealer.seal(signing.draw(), webhooks.secret_place(new.uuid))
            return webhooks.create(tx, new, sealed, None, NOW)

        return await self.vault.write(unit)

    def runner(self) -> WebhookRunner:
        sender = Sender(self, self.vault, self.settings, lambda: self.now)
        return WebhookRunner(self.db, sender, self.settings, clock=lambda: self.now, chance=lambda: 0.5)

    async def attempts(self, hook: Webhook) -> list[Tried]:
        return await self.db.read(lambda rx: webhooks.attempts(rx, hook.id, 1 << 60, 100))

    async def shown(self, hook: Webhook) -> Webhook:
        found = await self.db.read(lambda rx: webhooks.by_id(rx, hook.id))
        assert found is not None
        return found

    async def until(self, count: int, hook: Webhook) -> list[Tried]:
        for _ in range(3000):
            if len(found := await self.attempts(hook)) >= count:
                return found
            await asyncio.sleep(0.01)  # a unit of the sender's own, of which nobody is told
        raise AssertionError("not within half a minute")

    async def until_off(self, hook: Webhook) -> Webhook:
        for _ in range(3000):
            if not (found := await self.shown(hook)).enabled:
                return found
            await asyncio.sleep(0.01)  # as above
        raise AssertionError("not within half a minute")


class Running:
    def __init__(self, runner: WebhookRunner) -> None:
        self._runner = runner

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._runner.run())

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
def world(db: Database, tmp_path: Path) -> World:
    return World(db, tmp_path)


async def arrive(world: World, inbox: Inbox, count: int = 1) -> None:
    box = await mailbox_id(world.db, inbox.id)
    for _ in range(count):
        await world.db.write(lambda tx: put(tx, inbox.id, box))


async def test_each_event_once_and_in_order(world: World) -> None:
    inbox = await make_inbox(world.db)
    await arrive(world, inbox, 2)
    hook = await world.hook("inbox", inbox)
    async with Running(world.runner()):
        await arrive(world, inbox, 3)
        tried = await world.until(3, hook)
    assert [each.event_id for each in reversed(tried)] == [told[1] for told in world.told]
    assert len({told[1] for told in world.told}) == 3
    async with Running(world.runner()):  # another life: nothing goes again
        await arrive(world, inbox)
        assert len(await world.until(4, hook)) == 4
    assert len(world.told) == 4


async def test_scopes(world: World) -> None:
    one = await make_inbox(world.db)
    every, pod, single = await world.hook("all"), await world.hook("pod", one), await world.hook("inbox", one)
    async with Running(world.runner()):
        two = await make_inbox(world.db, "later@example.test")
        await arrive(world, one)
        await arrive(world, two)
        # of an inbox that is made later its mailboxes are told too
        for hook, count in ((every, 7), (pod, 7), (single, 1)):
            assert len(await world.until(count, hook)) == count


async def test_types_move_the_cursor_without_telling(world: World) -> None:
    inbox = await make_inbox(world.db)
    hook = await world.hook("inbox", inbox, types=("message.deleted",))
    async with Running(world.runner()):
        await arrive(world, inbox, 5)
        box = await mailbox_id(world.db, inbox.id)
        await world.db.write(lambda tx: messages.expunge(tx, inbox.id, box, [1], only_deleted=False, now=NOW))
        (only,) = await world.until(1, hook)
    assert only.type == "message.deleted"


async def test_failures_are_tried_again_ever_more_slowly_and_hold_up_their_inbox_only(world: World) -> None:
    bad, good = await make_inbox(world.db), await make_inbox(world.db, "good@example.test")
    hook = await world.hook("all")
    world.answer = lambda event: HttpAnswer(500, {}, b"") if event["inbox"]["address"] == bad.address else OK
    await arrive(world, bad, 2)
    times = []
    for count in (1, 2, 3):  # a life each, at the time when it is due
        async with Running(world.runner()):
            await world.until(count, hook)
        ((_, _, attempts, at),) = await world.db.read(lambda rx: cursors.standing(rx, hook.id, 10))
        assert attempts == count
        times.append(at - int(world.now))
        world.now = at
    assert times == [5, 20, 80]
    world.now -= 1
    await arrive(world, good)
    async with Running(world.runner()):
        assert (await world.until(4, hook))[0].inbox_id == good.id
    world.now += 1
    world.answer = lambda event: OK
    async with Running(world.runner()):
        last, before, *_ = await world.until(6, hook)
    assert [(each.inbox_id, each.ok, each.number) for each in (before, last)] == [(bad.id, True, 4), (bad.id, True, 1)]
    assert world.told[0][1] == before.event_id != last.event_id


async def test_it_is_switched_off_after_days_and_goes_on_where_it_stood(world: World) -> None:
    inbox = await make_inbox(world.db)
    hook = await world.hook("inbox", inbox)
    world.answer = lambda event: HttpFailed(Failure.TIMEOUT, "hook.test has not answered in time", sent=True)
    async with Running(world.runner()):
        await arrive(world, inbox)
        await world.until(1, hook)
    failing = await world.shown(hook)
    assert (failing.enabled, failing.failing_since, failing.reason) == (
        True, NOW, "hook.test has not answered in time",
    )
    world.now = NOW + 5 * DAY
    async with Running(world.runner()):
        await world.until(2, hook)
        off = await world.until_off(hook)
    assert off.reason is not None
    assert off.reason.startswith("It has failed since 2023-11-14")
    world.answer = lambda event: OK
    await world.db.write(
        lambda tx: webhooks.change(tx, off, name="", url=off.url, types=(), headers=None, enabled=True, now=NOW)
    )
    async with Running(world.runner()):
        (good, *_) = await world.until(3, hook)
    assert good.ok
    assert (await world.shown(hook)).failing_since is None


async def test_what_was_put_off_goes_in_its_time_however_busy_the_server_is(world: World) -> None:
    """Wake-ups of other inboxes come before anybody has waited for that time to come."""
    bad, busy = await make_inbox(world.db), await make_inbox(world.db, "busy@example.test")
    hook = await world.hook("all")
    world.answer = lambda event: HttpAnswer(500, {}, b"") if event["inbox"]["address"] == bad.address else OK
    async with Running(world.runner()):
        await arrive(world, bad)
        await world.until(1, hook)
        await arrive(world, busy)
        await world.until(2, hook)
        world.now += 10
        world.answer = lambda event: OK
        await arrive(world, busy)
        tried = await world.until(4, hook)
    assert {(each.inbox_id, each.ok) for each in tried} == {(bad.id, False), (bad.id, True), (busy.id, True)}


async def test_gone_switches_off_at_once(world: World) -> None:
    inbox = await make_inbox(world.db)
    hook = await world.hook("inbox", inbox)
    world.answer = lambda event: HttpAnswer(410, {}, b"")
    async with Running(world.runner()):
        await arrive(world, inbox)
        await world.until(1, hook)
        await world.until_off(hook)


async def test_a_lease_that_was_taken_over_moves_nothing(world: World) -> None:
    inbox = await make_inbox(world.db)
    hook = await world.hook("inbox", inbox)
    write = world.db.write
    held = await write(lambda tx: cursors.claim(tx, hook.id, inbox.id, "one", NOW, NOW + 60))
    assert held is not None
    assert await write(lambda tx: cursors.claim(tx, hook.id, inbox.id, "two", NOW + 59, NOW + 200)) is None
    assert await write(lambda tx: cursors.claim(tx, hook.id, inbox.id, "two", NOW + 60, NOW + 200)) is not None
    modseq, position = position_of(whole(9))
    assert not await write(lambda tx: cursors.move(tx, held, "one", modseq, position, NOW + 200))
    tried = Tried(hook.id, inbox.id, "e", "t", NOW, 1, False, None, "x", 1, None)
    assert await write(lambda tx: cursors.put_off(tx, held, "one", NOW + 5, tried)) is None
    assert await world.attempts(hook) == []
    assert await write(lambda tx: cursors.move(tx, held, "two", modseq, position, NOW + 200))
    await write(lambda tx: cursors.set_cursor(tx, hook.id, inbox.id, 1, "1-99-0-0"))
    assert not await write(lambda tx: cursors.move(tx, held, "two", modseq, position, NOW + 200))


async def test_a_restored_store_tells_what_was_not_told_and_goes_on(world: World) -> None:
    inbox = await make_inbox(world.db)
    hook = await world.hook("inbox", inbox)
    async with Running(world.runner()):
        await arrive(world, inbox)
        await world.until(1, hook)
    await arrive(world, inbox)
    await world.db.write(lambda tx: snapshot.mark_restored(tx, NOW + 5))
    async with Running(world.runner()):
        await world.until(2, hook)
        await arrive(world, inbox)
        tried = await world.until(3, hook)
    assert all(each.ok for each in tried)
    assert len({each.event_id for each in tried}) == len(world.told) == 3
    assert len({event_id.partition("-")[0] for _, event_id, _ in world.told}) == 2, "ids of before are of another epoch"


async def test_attempts_are_forgotten_after_their_time(world: World) -> None:
    inbox = await make_inbox(world.db)
    hook = await world.hook("inbox", inbox)
    for at in (NOW, NOW + 10, NOW + 20):
        tried = Tried(hook.id, inbox.id, "e", "t", at, 1, True, 200, None, 1, b"x" * 5000)
        await world.db.write(lambda tx, tried=tried: webhooks.note(tx, tried))  # type: ignore[misc]
    assert await world.db.write(lambda tx: webhooks.prune(tx, NOW + 10, 100)) == 2
    (left,) = await world.attempts(hook)
    assert (left.at, len(left.answer or b"")) == (NOW + 20, webhooks.ANSWER)


@pytest.mark.parametrize("place", [whole(0), whole(7), Place(8, 2, 3, 4)])
def test_positions(place: Place) -> None:
    modseq, position = position_of(place)
    assert place_in(position) == place
    assert modseq == (place.modseq if place.rank == 99 else place.modseq - 1)


def test_a_signature_is_that_of_the_standard() -> None:
    """The example of standardwebhooks.com's reference implementations."""
    made = signing.signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!!", "whsec_" + base64.b64encode(b"x" * 65).decode()],
)
def test_secrets_that_are_none(secret: str) -> None:
    with pytest.raises(InvalidRequest):
        signing.octets_of(secret)


def test_the_schedule() -> None:
    settings = WebhookSettings()
    assert [delay(settings, number, 0.5) for number in (1, 2, 3, 4, 5, 6, 7, 50)] == [
        5, 20, 80, 320, 1280, 5120, 14_400, 14_400,
    ]
    assert (round(delay(settings, 1, 0)), round(delay(settings, 1, 1))) == (4, 6)
    assert (delay(settings, 1, 0.5, 60), delay(settings, 1, 0.5, 1e9)) == (60, 14_400)
