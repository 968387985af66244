"""Logging in against a scripted peer: one mechanism, once; what the server says of a token comes out."""

from __future__ import annotations

import asyncio
import base64
import hmac
from typing import Any

import pytest

from gateway.outbound.failure import Failure, refuses_login
from gateway.outbound.login import Mechanism, RelayLogin
from gateway.upstream.client import ImapClient
from gateway.upstream.errors import Closed
from tests.unit.upstream.script import Talk, talk, token

PLAIN = base64.b64encode(b"\0bob\0secret").decode()
XOAUTH2 = base64.b64encode(b"user=bob\x01auth=Bearer tok\x01\x01").decode()
BEARER = base64.b64encode(b"n,a=bob,\x01host=imap.test\x01port=993\x01auth=Bearer tok\x01\x01").decode()
ERROR = base64.b64encode(b'{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}').decode()


def log_in(script: str, capabilities: str, **options: Any) -> None:
    talk(script, lambda client: client.log_in(), capabilities, logged_in=False, **options)


def refused(script: str, capabilities: str, **options: Any) -> Closed:
    with pytest.raises(Closed) as error:
        log_in(script, capabilities, **options)
    assert not {"secret", "tok", PLAIN, XOAUTH2} & set(str(error.value).split())
    return error.value


AFTER = "C: A2 CAPABILITY\nS: * CAPABILITY IMAP4rev1 IDLE\nS: A2 OK done"


@pytest.mark.parametrize(
    ("script", "capabilities", "login"),
    [
        (f"C: A1 AUTHENTICATE PLAIN {PLAIN}\nS: A1 OK done\n" + AFTER, "AUTH=PLAIN SASL-IR", None),
        (f"C: A1 AUTHENTICATE PLAIN\nS: +\nC: {PLAIN}\nS: A1 OK done\n" + AFTER, "AUTH=PLAIN AUTH=LOGIN", None),
        ('C: A1 LOGIN "bob" "secret"\nS: A1 OK done\n' + AFTER, "AUTH=LOGIN", None),
        ("C: A1 AUTHENTICATE LOGIN\nS: + VXNlcg==\nC: Ym9i\nS: + UGFzcw==\nC: c2VjcmV0\nS: A1 OK done\n" + AFTER,
         "AUTH=LOGIN LOGINDISABLED", None),
        ("C: A1 AUTHENTICATE LOGIN\nS: + VXNlcg==\nC: Ym9i\nS: + UGFzcw==\nC: c2VjcmV0\nS: A1 OK done\n" + AFTER,
         "AUTH=LOGIN AUTH=PLAIN", RelayLogin("bob", "secret", Mechanism.LOGIN)),
        ('C: A1 LOGIN "bob" "secret"\nS: A1 OK done\n' + AFTER, "AUTH=PLAIN",
         RelayLogin("bob", "secret", Mechanism.LOGIN)),
        ('C: A1 LOGIN "CORP\\\\bob/x" "s\\"\\\\"\nS: A1 OK done\n' + AFTER, "AUTH=PLAIN",
         RelayLogin("CORP\\bob/x", 's"\\')),
        ("C: A1 LOGIN \"bob\" {2}\nS: + go\nC: \xc3\xa4\nS: A1 OK done\n" + AFTER, "", RelayLogin("bob", "ä")),
        ("C: A1 LOGIN \"bob\" {2+}\nC: \xc3\xa4\nS: A1 OK done\n" + AFTER, "LITERAL+", RelayLogin("bob", "ä")),
        ("C: A1 AUTHENTICATE CRAM-MD5\nS: + PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+\n"
         "C: dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw\nS: A1 OK done\n" + AFTER,
         "AUTH=CRAM-MD5 AUTH=PLAIN", RelayLogin("tim", "tanstaaftanstaaf", Mechanism.CRAM_MD5)),
        (f"C: A1 AUTHENTICATE XOAUTH2 {XOAUTH2}\nS: A1 OK done\n" + AFTER, "AUTH=XOAUTH2 AUTH=OAUTHBEARER SASL-IR",
         token()),
        (f"C: A1 AUTHENTICATE XOAUTH2\nS: +\nC: {XOAUTH2}\nS: A1 OK done\n" + AFTER, "", token()),
        (f"C: A1 AUTHENTICATE OAUTHBEARER {BEARER}\nS: A1 OK done\n" + AFTER, "AUTH=OAUTHBEARER SASL-IR", token()),
        (f"C: A1 AUTHENTICATE OAUTHBEARER {BEARER}\nS: A1 OK done\n" + AFTER, "AUTH=XOAUTH2 SASL-IR",
         token(Mechanism.OAUTHBEARER)),
        (f"C: A1 AUTHENTICATE PLAIN {PLAIN}\nS: A1 OK done\n" + AFTER, "AUTH=PLAIN LOGINDISABLED SASL-IR",
         RelayLogin("bob", "secret", Mechanism.CRAM_MD5, others=(Mechanism.LOGIN, Mechanism.PLAIN))),
        ('C: A1 LOGIN "bob" "secret"\nS: A1 OK done\n' + AFTER, "AUTH=PLAIN",
         RelayLogin("bob", "secret", Mechanism.LOGIN, others=(Mechanism.PLAIN,))),
        (f"C: A1 AUTHENTICATE PLAIN {PLAIN}\nS: A1 OK done\n" + AFTER, "AUTH=PLAIN SASL-IR",
         RelayLogin("bob", "secret", Mechanism.CRAM_MD5, others=(Mechanism.AUTO,))),
        (f"C: A1 AUTHENTICATE OAUTHBEARER {BEARER}\nS: A1 OK done\n" + AFTER, "AUTH=XOAUTH2 AUTH=OAUTHBEARER SASL-IR",
         RelayLogin("bob", "tok", Mechanism.PLAIN, True, (Mechanism.OAUTHBEARER, Mechanism.XOAUTH2))),
    ],
)  # fmt: skip
def test_mechanisms(script: str, capabilities: str, login: RelayLogin | None) -> None:
    log_in(script, capabilities, login=login)


@pytest.mark.parametrize(
    ("login", "capabilities", "secure"),
    [
        (None, "AUTH=PLAIN AUTH=LOGIN", False),
        (RelayLogin("bob", "secret", Mechanism.PLAIN), "AUTH=PLAIN", False),
        (RelayLogin("bob", "secret", Mechanism.LOGIN), "AUTH=PLAIN AUTH=CRAM-MD5", False),
        (token(), "AUTH=XOAUTH2 AUTH=CRAM-MD5", False),
        (None, "LOGINDISABLED AUTH=GSSAPI", True),
        (RelayLogin("bob", "secret", Mechanism.CRAM_MD5), "AUTH=PLAIN", True),
        (RelayLogin("bob", "secret", Mechanism.PLAIN, others=(Mechanism.LOGIN,)), "AUTH=PLAIN AUTH=CRAM-MD5", False),
        (RelayLogin("bob", "secret", Mechanism.CRAM_MD5, others=(Mechanism.LOGIN,)), "AUTH=PLAIN LOGINDISABLED", True),
    ],
)
def test_none_that_may_be_used(login: RelayLogin | None, capabilities: str, secure: bool) -> None:
    assert refused("", capabilities, login=login, secure=secure).failure is Failure.LOGIN_DISABLED


def test_in_the_clear_only_what_shows_no_password() -> None:
    digest = hmac.new(b"secret", b"x", "md5").hexdigest()
    said = base64.b64encode(f"bob {digest}".encode()).decode()
    log_in(
        f"C: A1 AUTHENTICATE CRAM-MD5\nS: + eA==\nC: {said}\nS: A1 OK done\n" + AFTER, "AUTH=CRAM-MD5 AUTH=PLAIN",
        secure=False,
    )  # fmt: skip


def test_a_refusal_is_the_end() -> None:
    error = refused(
        f"C: A1 AUTHENTICATE PLAIN {PLAIN}\nS: A1 NO [AUTHENTICATIONFAILED] no", "AUTH=PLAIN AUTH=LOGIN SASL-IR"
    )
    assert (error.failure, error.said) == (Failure.AUTH_REJECTED, "no")
    assert refuses_login(error.failure)


def test_a_bye_before_the_refusal() -> None:
    error = refused(
        f"C: A1 AUTHENTICATE PLAIN {PLAIN}\nS: * BYE see you\nS: A1 NO [AUTHENTICATIONFAILED] no\nX:",
        "AUTH=PLAIN SASL-IR",
    )
    assert error.failure is Failure.AUTH_REJECTED


def test_a_bye_without_a_refusal_stops_no_account() -> None:
    error = refused(f"C: A1 AUTHENTICATE PLAIN {PLAIN}\nS: * BYE Too many connections\nX:", "AUTH=PLAIN SASL-IR")
    assert (error.failure, error.said) == (Failure.LIMIT, "Too many connections")


def test_lost_while_logging_in() -> None:
    assert refused(f"C: A1 AUTHENTICATE PLAIN {PLAIN}\nX:", "AUTH=PLAIN SASL-IR").failure is Failure.LOST


def test_an_error_challenge_of_xoauth2_is_answered() -> None:
    error = refused(
        f"C: A1 AUTHENTICATE XOAUTH2 {XOAUTH2}\nS: + {ERROR}\nC: \nS: A1 NO [AUTHENTICATIONFAILED] Invalid credentials",
        "AUTH=XOAUTH2 SASL-IR", login=token(),
    )  # fmt: skip
    assert error.failure is Failure.AUTH_OAUTH
    assert error.said == "Invalid credentials (status 400, scope https://mail.google.com/, schemes Bearer)"


def test_an_error_challenge_of_oauthbearer_is_answered() -> None:
    error = refused(
        f"C: A1 AUTHENTICATE OAUTHBEARER\nS: +\nC: {BEARER}\nS: + {ERROR}\nC: AQ==\nS: A1 NO no", "AUTH=OAUTHBEARER",
        login=token(),
    )  # fmt: skip
    assert (error.failure, error.said[:14]) == (Failure.AUTH_OAUTH, "no (status 400")


def test_a_server_that_asks_on_is_left() -> None:
    error = refused(f"C: A1 AUTHENTICATE PLAIN {PLAIN}\nS: + eA==\nC: *\nS: A1 BAD cancelled", "AUTH=PLAIN SASL-IR")
    assert error.failure is Failure.AUTH_REJECTED


@pytest.mark.parametrize(
    "login", [RelayLogin("b\nob", "x"), RelayLogin("bob", "x\r\nA2 NOOP"), RelayLogin("bob", "\0")]
)
@pytest.mark.parametrize("capabilities", ["", "AUTH=XOAUTH2"])
def test_injection(login: RelayLogin, capabilities: str) -> None:
    assert refused("", capabilities, login=login).failure is Failure.AUTH_REJECTED


@pytest.mark.parametrize("login", [RelayLogin("b\0ob", "x"), RelayLogin("bob", "x\0")])
def test_a_separator_in_plain(login: RelayLogin) -> None:
    assert refused("", "AUTH=PLAIN", login=login).failure is Failure.AUTH_REJECTED


def test_capabilities_in_the_answer_are_not_asked_for() -> None:
    async def work(client: ImapClient) -> frozenset[str]:
        await client.log_in()
        return client.capabilities

    line = "CAPABILITY IMAP4rev1 IDLE"
    assert talk(f'C: A1 LOGIN "bob" "secret"\nS: A1 OK [{line}] in', work, logged_in=False) == {"IMAP4REV1", "IDLE"}
    assert talk(f'C: A1 LOGIN "bob" "secret"\nS: * {line}\nS: A1 OK in', work, logged_in=False) == {"IMAP4REV1", "IDLE"}


ENABLE = (
    'C: A1 LOGIN "bob" "secret"\nS: A1 OK [CAPABILITY IMAP4rev1 ENABLE CONDSTORE QRESYNC UIDONLY MESSAGELIMIT=9] in\n'
)


@pytest.mark.parametrize(
    ("script", "enabled", "qresync"),
    [
        ("C: A2 ENABLE QRESYNC UIDONLY\nS: * ENABLED QRESYNC UIDONLY\nS: A2 OK x", {"QRESYNC", "UIDONLY"}, True),
        ("C: A2 ENABLE QRESYNC UIDONLY\nS: A2 OK x", set(), False),
        ("C: A2 ENABLE QRESYNC UIDONLY\nS: A2 BAD x", set(), False),
    ],
)
def test_enabled(script: str, enabled: set[str], qresync: bool) -> None:
    async def work(client: ImapClient) -> tuple[frozenset[str], bool]:
        await client.log_in()
        return client.enabled, client.has("QRESYNC")

    assert talk(ENABLE + script, work, logged_in=False) == (enabled, qresync)


def test_qresync_without_enable_is_none() -> None:
    async def work(client: ImapClient) -> bool:
        await client.log_in()
        return client.has("QRESYNC")

    assert not talk('C: A1 LOGIN "bob" "secret"\nS: A1 OK [CAPABILITY QRESYNC] in', work, logged_in=False)


def test_what_is_distrusted_is_not_enabled() -> None:
    async def main() -> None:
        script = (
            ENABLE.replace(" UIDONLY MESSAGELIMIT=9", "") + "C: A2 ENABLE CONDSTORE\nS: * ENABLED CONDSTORE\nS: A2 OK x"
        )
        talking = Talk(script, logged_in=False)
        talking.client.distrust("qresync")
        await talking.client.log_in()
        assert not talking.client.has("QRESYNC")
        assert talking.client.has("CONDSTORE")
        talking.done()

    asyncio.run(main())


def test_who_we_are_is_said_before_and_after() -> None:
    async def main() -> None:
        talking = Talk(
            'C: A1 ID ("name" "x" "v" {2}\nS: + go\nC: \xc3\xa4)\n'
            'S: * ID ("name" "Coremail")\nS: A1 OK x\nC: A2 LOGIN "bob" "secret"\nS: A2 OK [CAPABILITY ID] x\n'
            "C: A3 ID (\"name\" \"x\" \"v\" {2}\nS: A3 BAD what",
            "ID", logged_in=False,
        )  # fmt: skip
        talking.client._client_id = {"name": "x", "v": "ä"}
        await talking.client.log_in()
        assert talking.client.server_id == {"name": "Coremail"}
        assert not talking.client.has("ID")
        talking.done()

    asyncio.run(main())


def test_no_secret_in_the_transcript() -> None:
    async def main() -> None:
        scripts = {
            f"C: A1 AUTHENTICATE PLAIN {PLAIN}\nS: A1 OK [CAPABILITY X] x": "AUTH=PLAIN SASL-IR",
            f"C: A1 AUTHENTICATE PLAIN\nS: +\nC: {PLAIN}\nS: A1 OK [CAPABILITY X] x": "AUTH=PLAIN",
            'C: A1 LOGIN "bob" "secret"\nS: A1 OK [CAPABILITY X] x': "",
        }
        for script, capabilities in scripts.items():
            talking = Talk(script, capabilities, logged_in=False)
            await talking.client.log_in()
            shown = "\n".join(line for _, line in talking.transcript.lines())
            assert "AUTHENTICATE PLAIN" in shown or "LOGIN" in shown
            assert "***" in shown
            assert "secret" not in shown
            assert PLAIN not in shown

    asyncio.run(main())
