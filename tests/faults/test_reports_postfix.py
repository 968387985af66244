"""Debian's Postfix takes our mail, cannot get rid of it and returns it: its report tells our history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.model.recipient import Notify, Recipient
from gateway.submit.intake import Intake, IntakeEnvelope
from tests.faults.smtp_kit import USER, run
from tests.faults.smtp_relay import relay
from tests.faults.smtp_store import House, house
from tests.faults.test_smtp_notices import EVE, MESSAGE, desk, settled, submit
from tests.servers.postfix import running_postfix


@pytest.fixture(autouse=True)
def installed(missing: Callable[[str], None]) -> None:
    if not Path("/usr/lib/postfix/sbin/master").exists():
        missing("postfix")


async def comes_in(it: House, octets: bytes) -> None:
    """As a server in front hands it on."""
    intake = Intake(it.db, it.ingest, it.clock, it.submissions.settings, it.submissions.directory)
    arrival = intake.begin(IntakeEnvelope("", (USER,)))
    await arrival.write(octets)
    assert (await arrival.finish()).outcomes == (None,)
    await intake.drain()


NAMED = Recipient("named@elsewhere.net", Notify.FAILURE, "rfc822;Alias+2BEve@x.net")
WANTS = Recipient("wants@elsewhere.net", Notify.SUCCESS)


@pytest.mark.parametrize(
    ("keywords", "cases"),
    [
        ("", [(Recipient(EVE), "bounced"), (NAMED, "bounced"), (WANTS, "relayed")]),
        ("dsn", [(Recipient(EVE), "bounced")]),
    ],
    ids=["dsn", "plain"],
)
def test_what_it_returns_is_recognised(tmp_path: Path, keywords: str, cases: list[tuple[Recipient, str]]) -> None:
    """With DSN offered, and without."""

    async def main() -> None:
        async with house(tmp_path) as it, relay() as far, desk(it) as desk_:
            extra = f"relayhost = [127.0.0.1]:{far.port}\nsmtpd_discard_ehlo_keywords = {keywords}\n"
            stack = ExitStack()
            postfix = await asyncio.to_thread(stack.enter_context, running_postfix(extra))
            try:
                it.use_relay(postfix.smtp)
                for number, (wish, event) in enumerate(cases):
                    far.taken.clear()
                    if event == "bounced":
                        far.scripts.append({"rcpt": "550 5.1.1 <eve> nobody of that name"})
                    message = MESSAGE.replace(b"orig@", b"orig%d@" % number)
                    async with it.runner():
                        await submit(it, wish, message=message, envelope_id=f"Q {number}")
                        await it.until(lambda: settled(it))

                    async def returned() -> bool:
                        return any(mail.mail_from == "" for mail in far.taken)

                    await it.until(returned)
                    [report] = [mail for mail in far.taken if mail.mail_from == ""]
                    assert report.recipients == [USER]
                    await comes_in(it, report.octets)
                    await desk_.work()
                    entry = (await it.queue())[-1]
                    assert [each.state for each in entry.attempts] == ["sent", event]
                    assert str(entry.recipients[0].state) == ("bounced" if event == "bounced" else "sent")
                    told = entry.attempts[-1]
                    assert told.remote == "peer.test"
                    if event == "bounced":
                        assert (told.code, told.enhanced) == (550, "5.1.1")
                        assert b"<eve> nobody of that name" in (told.text or b"")
            finally:
                await asyncio.to_thread(stack.close)

    run(main())
