"""Logging in at an SMTP server: tokens, one mechanism once, and refusals with their class and the server's words."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.outbound.endpoint import Endpoint, Timeouts
from gateway.outbound.failure import Failure, refuses_login
from gateway.outbound.login import Mechanism, NoMechanism, RelayLogin, choose
from gateway.outbound.login_refusal import login_failure, token_status
from gateway.outbound.smtp_transport import SmtpConnection, TransportFailed
from gateway.outbound.tls import Security, TlsPolicy
from gateway.outbound.verdict import Outcome, Stage, Verdict, of_reply
from tests.faults.smtp_kit import certificates, run

TOKEN = "ya29.canary"


@dataclass
class Door:
    """An SMTP server as far as AUTH. `answers`: one to each line from AUTH on."""

    offers: str = "PLAIN LOGIN XOAUTH2"
    answers: Sequence[str] = ("235 2.7.0 welcome",)
    said: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers = list(self.answers)
        writer.write(b"220 door ESMTP\r\n")
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            if line.startswith("EHLO"):
                writer.write(f"250-door\r\n250 AUTH {self.offers}\r\n".encode())
                continue
            if line == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            while answers:
                self.said.append(line)
                answer = answers.pop(0)
                writer.write(answer.encode() + b"\r\n")
                if not answer.startswith("334"):
                    break
                line = (await reader.readline()).decode().rstrip("\r\n")
        writer.close()

    def words(self) -> list[str]:
        """What was said, base64 undone."""
        parts = [line.split(" ") for line in self.said]
        return [" ".join([*words[:-1], base64.b64decode(words[-1]).decode()]) for words in parts]


@asynccontextmanager
async def door(tmp_path: Path, one: Door) -> AsyncIterator[Endpoint]:
    tls = certificates(tmp_path)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=tls.server)
    port = server.sockets[0].getsockname()[1]
    quick = Timeouts(connect=5, greeting=5, quit=1)
    try:
        yield Endpoint("127.0.0.1", port, TlsPolicy(Security.TLS, tls.ca_file), allow_private=True, timeouts=quick)
    finally:
        server.close()


def tried(tmp_path: Path, one: Door, login: RelayLogin, *, fast: bool = True) -> Outcome | None:
    """None when it let us in."""

    async def main() -> Outcome | None:
        async with door(tmp_path, one) as place:
            endpoint = Endpoint(
                place.host, place.port, place.tls, login, allow_private=True, timeouts=place.timeouts
            )
            try:
                await (await SmtpConnection.open(endpoint)).close()
            except TransportFailed as failed:
                return failed.outcome
            return None

    return run(main(), fast=fast)


@pytest.mark.parametrize("fast", [True, False])
def test_tokens_go_by_either_mechanism(tmp_path: Path, fast: bool) -> None:
    one = Door()
    assert tried(tmp_path, one, RelayLogin("ann@corp.example", TOKEN, token=True), fast=fast) is None
    assert one.words() == [f"AUTH XOAUTH2 user=ann@corp.example\x01auth=Bearer {TOKEN}\x01\x01"]
    one = Door(offers="PLAIN OAUTHBEARER")
    assert tried(tmp_path, one, RelayLogin("ann@corp.example", TOKEN, token=True), fast=fast) is None
    assert one.words() == [f"AUTH OAUTHBEARER n,a=ann@corp.example,\x01auth=Bearer {TOKEN}\x01\x01"]


@pytest.mark.parametrize(
    ("mechanism", "answered"), [(Mechanism.XOAUTH2, ""), (Mechanism.OAUTHBEARER, "\x01")]
)
def test_the_challenge_of_a_refused_token_is_answered_and_told(
    tmp_path: Path, mechanism: Mechanism, answered: str
) -> None:
    challenge = base64.b64encode(b'{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}').decode()
    one = Door(answers=(f"334 {challenge}", "535-5.7.8 Username and Password not accepted.\r\n535 5.7.8 See help"))
    outcome = tried(tmp_path, one, RelayLogin("ann@corp.example", TOKEN, mechanism))
    assert outcome is not None
    assert (outcome.verdict, outcome.failure) == (Verdict.LOGIN, Failure.AUTH_OAUTH)
    assert "Username and Password not accepted." in outcome.text
    assert "status 400, scope https://mail.google.com/" in outcome.text
    assert TOKEN not in repr(outcome)
    assert base64.b64decode(one.said[1]).decode() == answered
    assert len(one.said) == 2


def test_a_token_that_would_break_out_of_its_message_is_not_sent(tmp_path: Path) -> None:
    one = Door()
    outcome = tried(tmp_path, one, RelayLogin("ann\x01auth=Bearer x", TOKEN, token=True))
    assert outcome is not None
    assert outcome.verdict is Verdict.LOGIN
    assert one.said == []


GMAIL_APP = "534-5.7.9 Application-specific password required. For more information, go to\r\n534 5.7.9  https://support"
TENANT = (
    "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit"
    " https://aka.ms/smtp_auth_disabled for more information."
)
BASIC = "535 5.7.139 Authentication unsuccessful, basic authentication is disabled. [AM6P123.EURP123.PROD.OUTLOOK.COM]"
WRONG_365 = "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect."
POLICY = "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy."
YAHOO = "535 5.7.0 (#AUTH005) Too many bad auth attempts."


@pytest.mark.parametrize(
    ("reply", "verdict", "failure"),
    [
        ("535-5.7.8 Username and Password not accepted\r\n535 5.7.8 x", Verdict.LOGIN, Failure.AUTH_REJECTED),
        ("535 Incorrect authentication data", Verdict.LOGIN, Failure.AUTH_REJECTED),
        ("535 5.7.3 Authentication unsuccessful", Verdict.LOGIN, Failure.AUTH_REJECTED),
        (TENANT, Verdict.LOGIN, Failure.SMTP_AUTH_DISABLED),
        (BASIC, Verdict.LOGIN, Failure.SMTP_AUTH_DISABLED),
        (POLICY, Verdict.LOGIN, Failure.SMTP_AUTH_DISABLED),
        (WRONG_365, Verdict.LOGIN, Failure.AUTH_REJECTED),
        (YAHOO, Verdict.LOGIN, Failure.LIMIT),
        (GMAIL_APP, Verdict.LOGIN, Failure.APP_PASSWORD_NEEDED),
        ("534 5.7.9 Authentication mechanism is too weak", Verdict.LOGIN, Failure.LOGIN_DISABLED),
        ("538 5.7.11 Encryption required", Verdict.LOGIN, Failure.NOT_TLS),
        ("504 5.7.4 Unrecognized authentication type", Verdict.LOGIN, Failure.LOGIN_DISABLED),
        ("525 5.7.13 User Account Disabled", Verdict.LOGIN, Failure.AUTH_REJECTED),
        ("454 4.7.0 Too many login attempts, please try again later.", Verdict.TEMPORARY, Failure.THROTTLED),
        ("454 4.7.0 Temporary authentication failure", Verdict.TEMPORARY, Failure.UNAVAILABLE),
        ("421 4.7.0 Try again later, closing connection.", Verdict.TEMPORARY, Failure.THROTTLED),
        ("432 4.3.2 Concurrent connections limit exceeded", Verdict.TEMPORARY, Failure.THROTTLED),
        ("451 4.3.0 Server busy", Verdict.TEMPORARY, Failure.UNAVAILABLE),
        ("250 what", Verdict.LOGIN, Failure.AUTH_REJECTED),
    ],
)  # fmt: skip
def test_refusals(tmp_path: Path, reply: str, verdict: Verdict, failure: Failure) -> None:
    """The server's words are told; and where it may lock us out, one mechanism was tried once."""
    one = Door(answers=(reply,))
    outcome = tried(tmp_path, one, RelayLogin("ann@corp.example", "canary"))
    assert outcome is not None
    assert (outcome.verdict, outcome.stage, outcome.failure) == (verdict, Stage.CONNECT, failure)
    assert outcome.text.split(" ")[0] in reply
    assert len(outcome.text) > 3
    assert len(one.said) == 1
    assert "canary" not in repr(outcome)


def test_words_of_a_refusal_with_a_token() -> None:
    for text, failure in (
        ("Authentication unsuccessful [X.PROD.OUTLOOK.COM]", Failure.AUTH_OAUTH),
        ("SmtpClientAuthentication is disabled for the Mailbox.", Failure.SMTP_AUTH_DISABLED),
    ):
        assert login_failure(535, "5.7.3", text, token=True) is failure
        assert refuses_login(failure)
    assert not refuses_login(login_failure(454, "4.7.0", "Too many", token=False))


def test_a_login_that_is_demanded_later_is_classed_too() -> None:
    outcome = of_reply(Stage.MAIL, 530, "5.7.57 Client not authenticated to send mail")
    assert (outcome.verdict, outcome.failure) == (Verdict.LOGIN, Failure.AUTH_REJECTED)
    outcome = of_reply(Stage.MAIL, 530, "5.7.0 Must issue a STARTTLS command first")
    assert (outcome.verdict, outcome.failure) == (Verdict.LOGIN, Failure.NOT_TLS)
    assert of_reply(Stage.DATA, 432, "4.3.2 STOREDRV.ClientSubmit").failure is Failure.THROTTLED
    assert of_reply(Stage.RCPT, 550, "5.1.1 nobody").failure is None
    assert of_reply(Stage.RCPT, 451, "4.7.1 greylisted").failure is None


@pytest.mark.parametrize("fast", [True, False])
def test_of_several_the_first_that_is_offered_is_tried_and_no_other(tmp_path: Path, fast: bool) -> None:
    login = RelayLogin("ann@corp.example", TOKEN, Mechanism.PLAIN, True, (Mechanism.OAUTHBEARER, Mechanism.XOAUTH2))
    one = Door(offers="PLAIN XOAUTH2")
    assert tried(tmp_path, one, login, fast=fast) is None
    assert one.words() == [f"AUTH XOAUTH2 user=ann@corp.example\x01auth=Bearer {TOKEN}\x01\x01"]
    one = Door(offers="PLAIN LOGIN")
    outcome = tried(tmp_path, one, login, fast=fast)
    assert outcome is not None
    assert outcome.failure is Failure.LOGIN_DISABLED
    assert "none of PLAIN, OAUTHBEARER, XOAUTH2" in outcome.text
    assert one.words() == []


def test_choice_of_a_mechanism_for_a_token() -> None:
    offered = ["plain", "oauthbearer", "xoauth2"]
    assert choose(offered, Mechanism.AUTO, encrypted=True, token=True) is Mechanism.XOAUTH2
    assert choose(["plain", "oauthbearer"], Mechanism.AUTO, encrypted=True, token=True) is Mechanism.OAUTHBEARER
    assert choose(offered, Mechanism.OAUTHBEARER, encrypted=True, token=True) is Mechanism.OAUTHBEARER
    with pytest.raises(NoMechanism, match="for access tokens"):
        choose(["plain", "login"], Mechanism.AUTO, encrypted=True, token=True)
    for wanted in (Mechanism.AUTO, Mechanism.XOAUTH2, Mechanism.OAUTHBEARER):
        with pytest.raises(NoMechanism, match="use TLS"):
            choose(offered, wanted, encrypted=False, token=True)


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b'{"status":"invalid_token"}', "status invalid_token"),
        (b'{"status":"401","schemes":"bearer","scope":"mail"}', "status 401, scope mail, schemes bearer"),
        (b'{"status":401}', ""), (b"[1]", ""), (b"", ""), (b"\xff", ""), (b'{"status":"a\\nb"}', ""),
        (b'{"a":' * 2000, ""),
    ],
)  # fmt: skip
def test_status_of_a_token(octets: bytes, words: str) -> None:
    assert token_status(octets) == words
