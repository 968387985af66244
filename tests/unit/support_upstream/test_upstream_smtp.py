"""The scripted submission server, spoken to by aiosmtplib and smtplib."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest

from tests.support.authority import Authority
from tests.support.upstream import (
    GMAIL,
    Cut,
    Drop,
    FakeSubmission,
    FakeUpstream,
    Fault,
    Inject,
    Refuse,
    Stall,
    example,
    refusals,
)
from tests.unit.support_upstream.raw import connected

USER, MAIL = "user@upstream.test", example(7, body=".dot\r\nend\r\n")


@asynccontextmanager
async def submission(*faults: Fault, **options: Any) -> AsyncIterator[FakeSubmission]:
    upstream = FakeUpstream(GMAIL)
    async with FakeSubmission(upstream, faults=faults, **options) as server:
        yield server


@asynccontextmanager
async def client(server: FakeSubmission, **options: Any) -> AsyncIterator[aiosmtplib.SMTP]:
    made = aiosmtplib.SMTP(hostname=server.host, port=server.port, timeout=30, **{"start_tls": False} | options)
    await made.connect()
    try:
        yield made
    finally:
        made.close()


def test_a_message_is_taken_and_filed_as_sent() -> None:
    async def run() -> None:
        async with submission(files_sent=True) as server, client(server) as smtp:
            await smtp.login(USER, "secret")
            await smtp.sendmail(USER, ["a@b.test", "c@d.test"], MAIL, mail_options=["BODY=8BITMIME"],
                                rcpt_options=["NOTIFY=NEVER"])
            await smtp.quit()
            taken = server.taken[0]
            parameters = [f"size={len(MAIL)}", "BODY=8BITMIME"]
            assert (taken.mail_from, taken.parameters, taken.octets) == (USER, parameters, MAIL)
            assert taken.recipients == [("a@b.test", ["NOTIFY=NEVER"]), ("c@d.test", ["NOTIFY=NEVER"])]
            await server.until(lambda: taken.told)
            box = server.upstream.account.mailbox("[Gmail]/Sent Mail")
            assert [(placed.mail.octets, placed.mail.flags) for placed in box.places.values()] == [(MAIL, {"\\Seen"})]
            assert not server.violations

    asyncio.run(run())


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "XOAUTH2"])
@pytest.mark.parametrize("right", [True, False])
def test_mechanisms_by_aiosmtplib(mechanism: str, right: bool) -> None:
    async def run() -> None:
        async with submission(mechanisms=[mechanism]) as server, client(server) as smtp:
            kinds = {"PLAIN": smtp.auth_plain, "LOGIN": smtp.auth_login, "XOAUTH2": smtp.auth_xoauth2}
            secret = ("token" if mechanism == "XOAUTH2" else "secret") if right else "wrong"
            await smtp.ehlo()
            if right:
                assert (await kinds[mechanism](USER, secret)).code == 235
            else:
                with pytest.raises(aiosmtplib.SMTPAuthenticationError) as refused:
                    await kinds[mechanism](USER, secret)
                assert refused.value.code == 535
            assert not server.violations

    asyncio.run(run())


@pytest.mark.parametrize("answer", [answer for answers in refusals.SMTP.values() for answer in answers])
def test_each_refusal_in_its_words(answer: str) -> None:
    async def run() -> None:
        async with submission(Refuse("AUTH", answer)) as server, client(server) as smtp:
            await smtp.ehlo()
            with pytest.raises((aiosmtplib.SMTPAuthenticationError, aiosmtplib.SMTPServerDisconnected)) as refused:
                await smtp.auth_plain(USER, "secret")
            if isinstance(refused.value, aiosmtplib.SMTPAuthenticationError):
                assert f"{refused.value.code} {refused.value.message}" == answer

    asyncio.run(run())


@pytest.mark.parametrize(
    ("fault", "kept", "told"),
    [(Drop("DOT", when="after"), 1, False), (Drop("DOT"), 0, False), (Drop("DOT", when="told"), 1, True),
     (Refuse("DOT", "451 4.3.0 later", done=True), 1, False), (Refuse("DOT", "554 5.2.0 no"), 0, False),
     (Cut("DOT", octets=5), 1, False)],
)  # fmt: skip
def test_lost_at_the_final_dot(fault: Fault, kept: int, told: bool) -> None:
    async def run() -> None:
        async with submission(fault) as server, client(server) as smtp:
            await smtp.login(USER, "secret")
            if told:
                await smtp.sendmail(USER, ["a@b.test"], MAIL)
            else:
                with pytest.raises(aiosmtplib.SMTPException):
                    await smtp.sendmail(USER, ["a@b.test"], MAIL)
            assert len(server.taken) == kept
            assert not any(mail.told for mail in server.taken)

    asyncio.run(run())


def test_one_recipient_is_refused_and_throttling_ends_the_connection() -> None:
    async def run() -> None:
        faults = [Refuse("RCPT", "550 5.1.1 no such user", nth=2), Refuse("MAIL", "421 4.7.0 slow down", nth=2)]
        async with submission(*faults) as server, client(server) as smtp:
            await smtp.login(USER, "secret")
            refused, _ = await smtp.sendmail(USER, ["a@b.test", "c@d.test"], MAIL)
            assert list(refused) == ["c@d.test"]
            with pytest.raises(aiosmtplib.SMTPException):
                await smtp.sendmail(USER, ["a@b.test"], MAIL)
            await server.until(lambda: not server.sessions)
            assert len(server.taken) == 1

    asyncio.run(run())


def test_order_sizes_and_addresses() -> None:
    async def run() -> None:
        async with submission(extensions=["SIZE 1000", "SMTPUTF8"]) as server, client(server) as smtp:
            await smtp.ehlo()
            with pytest.raises(aiosmtplib.SMTPSenderRefused, match="530"):
                await smtp.mail(USER)
            await smtp.login(USER, "secret")
            with pytest.raises(aiosmtplib.SMTPDataError, match="503"):
                await smtp.data(MAIL)
            with pytest.raises(aiosmtplib.SMTPSenderRefused, match="552"):
                await smtp.mail(USER, options=["SIZE=1001"])
            with pytest.raises(aiosmtplib.SMTPSenderRefused, match=r"553.*SMTPUTF8"):
                await smtp.mail("jürgen@b.test", encoding="utf-8")
            assert (await smtp.mail("jürgen@b.test", options=["SMTPUTF8"], encoding="utf-8")).code == 250

    asyncio.run(run())


def test_tls_starttls_and_injection(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context, trusting = authority.leaf().server(), ssl.create_default_context(cafile=str(authority.file))

    def by_smtplib(server: FakeSubmission) -> None:
        with smtplib.SMTP("localhost", server.port, timeout=30) as smtp:
            smtp.starttls(context=trusting)
            smtp.login(USER, "secret")
            smtp.sendmail(USER, ["a@b.test"], MAIL)

    async def run() -> None:
        async with submission(context=context) as server, client(server, use_tls=True, tls_context=trusting) as smtp:
            await smtp.login(USER, "secret")
        async with submission(context=context, starttls=True) as server:
            await asyncio.to_thread(by_smtplib, server)
            assert server.taken[0].octets == MAIL
            assert server.names()[:3] == ["EHLO", "STARTTLS", "EHLO"]
            server.arm(Inject("STARTTLS", octets=b"250 injected\r\n"))
            async with connected(server) as raw:
                await raw.line()
                raw.send(b"STARTTLS\r\n")
                assert await raw.line() == b"220 2.0.0 Ready to start TLS\r\n"
                assert await raw.line() == b"250 injected\r\n"

    asyncio.run(run())


def test_a_greeting_that_stalls() -> None:
    stall = Stall("GREETING", octets=2)

    async def run() -> None:
        async with submission(stall) as server, connected(server) as raw:
            await stall.reached.wait()
            assert await raw.reader.readexactly(2) == b"22"
            stall.released.set()
            assert await raw.line() == b"0 submission.upstream.test ESMTP ready\r\n"

    asyncio.run(run())
