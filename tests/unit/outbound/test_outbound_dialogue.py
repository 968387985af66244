"""Replies from octets, what a server offers, and the commands that are made of it."""

from __future__ import annotations

import asyncio
import inspect

import aiosmtplib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.recipient import Notify, Recipient
from gateway.outbound.dialogue import Dialogue, Lost
from gateway.outbound.envelope import Body, mail_command, notify_value, rcpt_command, wire_address, within_limits
from gateway.outbound.mail import OutgoingMail
from gateway.outbound.offer import Offer
from gateway.outbound.replies import MAX_LINE, MAX_REPLY, BadReply, Reply, ReplyParser
from tests.faults.smtp_peer import Text

REPLIES = [
    (b"250 ok\r\n", Reply(250, "ok")),
    (b"250\r\n", Reply(250, "")),
    (b"354 go \t\n", Reply(354, "go")),
    (b"250-one\r\n250-\r\n250 three\r\n", Reply(250, "one\n\nthree")),
    (b"421 \xff\xc3\xbc\r\n", Reply(421, "\ufffdü")),
]


@given(st.lists(st.sampled_from(REPLIES), max_size=6), st.lists(st.integers(0, 120), max_size=6))
def test_replies_in_any_chunking(wanted: list[tuple[bytes, Reply]], cuts: list[int]) -> None:
    octets = b"".join(raw for raw, _ in wanted)
    parser, found, at = ReplyParser(), [], 0
    for cut in [*sorted(cuts), len(octets)]:
        found += list(parser.feed(octets[at:cut]))
        at = max(at, cut)
    assert found == [reply for _, reply in wanted]
    assert parser.empty


@pytest.mark.parametrize(
    "octets",
    [
        b"hello\r\n", b"25 ok\r\n", b"250ok\r\n", b"150 ok\r\n", b"650 ok\r\n", b"\r\n", b"250-a\r\n251 b\r\n",
        "٢٥٠ ok\r\n".encode(), b"2" * (MAX_LINE + 1), b"250 " + b"x" * MAX_LINE + b"\r\n",
        (b"250-" + b"x" * 1000 + b"\r\n") * (MAX_REPLY // 1000 + 1),
    ],
)  # fmt: skip
def test_what_is_no_reply(octets: bytes) -> None:
    parser = ReplyParser()
    assert [reply.code for reply in parser.feed(b"220 hi\r\n")] == [220]
    with pytest.raises(BadReply) as caught:
        list(parser.feed(octets))
    assert len(str(caught.value)) <= 100


def test_a_reply_that_is_not_over_yet() -> None:
    parser = ReplyParser()
    assert list(parser.feed(b"250-a\r\n")) == []
    assert not parser.empty
    assert list(parser.feed(b"250 b\r\n")) == [Reply(250, "a\nb")]


def test_what_a_server_offers() -> None:
    assert Offer.of({}) == Offer()
    words = dict.fromkeys(("8bitmime", "dsn", "pipelining", "smtputf8", "chunking", "binarymime"), "")
    limits = "rcptmax=5 MAILMAX=0 RCPTDOMAINMAX=1 RCPTMAX=x MAILMAX=9999999"
    offer = Offer.of({"size": "1000", "limits": limits, **words})
    assert offer == Offer(1000, True, True, True, True, True, None, 5, 1)
    assert not Offer.of({"binarymime": ""}).binary, "RFC 3030 3: not without CHUNKING"
    assert [Offer.of({"size": size}).size for size in ("", "0", "9" * 21, "٣")] == [0, 0, 0, 0]


def mail(*recipients: str, **facts: object) -> OutgoingMail:
    values: dict[str, object] = {"mail_from": "ann@example.org", "source": Text(b"a: b\r\n\r\n"), **facts}
    return OutgoingMail(recipients=[Recipient(each) for each in recipients], **values)  # type: ignore[arg-type]


ALL = Offer(1000, True, True, True, True, True)


def test_mail_says_what_is_offered_and_nothing_else() -> None:
    wishes = {"ret": "HDRS", "envelope_id": "QQ 31+4=159", "header_utf8": True}
    said = mail_command(mail("eve@x.net", **wishes), b"ann@example.org", Body(b"8BITMIME", 77), ALL)
    assert said == b"MAIL FROM:<ann@example.org> SIZE=77 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ+2031+2B4+3D159"
    assert mail_command(mail(**wishes), b"", Body(None, 7), Offer()) == b"MAIL FROM:<>"
    assert mail_command(mail("zoë@x.net"), b"a@b", Body(None, 7), Offer(smtputf8=True)) == b"MAIL FROM:<a@b> SMTPUTF8"
    assert mail_command(mail("zoe@x.net"), b"a@b", Body(None, 7), ALL) == b"MAIL FROM:<a@b> SIZE=7"


def test_rcpt_hands_on_what_the_sender_asked_for() -> None:
    asked = Recipient("eve@x.net", Notify.SUCCESS | Notify.DELAY, "rfc822;Eve+2Bx@X.net")
    assert rcpt_command(asked, b"eve@x.net", ALL) == (
        b"RCPT TO:<eve@x.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Eve+2Bx@X.net"
    )
    assert rcpt_command(asked, b"eve@x.net", Offer()) == b"RCPT TO:<eve@x.net>"
    plain = rcpt_command(Recipient("eve@x.net"), b"eve@x.net", ALL)
    assert plain == b"RCPT TO:<eve@x.net>", "nothing that was not said"
    assert notify_value(0) == b"NEVER"
    assert notify_value(7) == b"SUCCESS,FAILURE,DELAY"


def test_an_original_recipient_in_utf8_for_who_knows_ascii_only() -> None:
    asked = Recipient("zoe@x.net", None, "utf-8;zoë@x.net")
    assert rcpt_command(asked, b"zoe@x.net", ALL).endswith("ORCPT=utf-8;zoë@x.net".encode())
    plain = Offer(dsn=True)
    assert rcpt_command(asked, b"zoe@x.net", plain).endswith(rb"ORCPT=utf-8;zo\x{EB}@x.net")


@pytest.mark.parametrize("wrong", ["a\r\nRSET", "a\nb", "a\0b", "a\x7fb"])
def test_nothing_breaks_out_of_its_line(wrong: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        rcpt_command(Recipient(wrong), wrong.encode(), ALL)
    with pytest.raises(ValueError, match="control character"):
        mail_command(mail(), wrong.encode(), Body(None, 0), ALL)


def test_addresses_for_who_takes_no_utf8() -> None:
    assert wire_address("zoë@bücher.example", ALL) == "zoë@bücher.example".encode()
    assert wire_address("zoe@bücher.example", Offer()) == b"zoe@xn--bcher-kva.example"
    assert wire_address("zoë@x.example", Offer()) is None
    assert wire_address("zoe@\u2603\u2603\u3002.example", Offer()) is None


def test_limits() -> None:
    people = [Recipient(each) for each in ("a@x", "b@y", "c@X", "d@x", "e@z")]
    assert within_limits(people, Offer()) == [True] * 5
    assert within_limits(people, Offer(rcpt_max=2)) == [True, True, False, False, False]
    assert within_limits(people, Offer(domain_max=2)) == [True, True, True, True, False]
    assert within_limits(people, Offer(rcpt_max=2, domain_max=1)) == [True, False, True, False, False]


class _Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None: ...

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.sent += data

    def abort(self) -> None:
        self.closed = True


def test_replies_are_read_in_order_and_what_came_before_the_end_counts() -> None:
    async def main() -> None:
        transport = _Transport()
        dialogue = Dialogue(transport)
        assert not dialogue.spoken
        dialogue.write(b"A\r\nB\r\n")
        dialogue.data_received(b"250 a\r\n550 b\r\n4")
        assert dialogue.answered
        dialogue.connection_lost(None)
        assert not dialogue.connected
        assert [(await dialogue.reply(1)).code for _ in range(2)] == [250, 550]
        with pytest.raises(Lost):
            await dialogue.reply(1)
        transport.closed = True
        with pytest.raises(Lost):
            dialogue.write(b"C\r\n")

    asyncio.run(main())


def test_a_good_reply_before_garbage_is_not_lost() -> None:
    async def main() -> None:
        dialogue = Dialogue(_Transport())
        dialogue.data_received(b"250 taken\r\ngarbage\r\n250 later\r\n")
        assert (await dialogue.reply(1)).text == "taken"
        with pytest.raises(BadReply):
            await dialogue.reply(1)
        dialogue.data_received(b"250 later\r\n")
        assert not dialogue.answered

    asyncio.run(main())


def test_writing_waits_for_a_peer_that_does_not_read() -> None:
    async def main() -> None:
        dialogue = Dialogue(_Transport())
        dialogue.pause_writing()
        with pytest.raises(TimeoutError):
            await dialogue.drained(0.01)
        waiting = asyncio.ensure_future(dialogue.drained(10))
        await asyncio.sleep(0)
        assert not waiting.done()
        dialogue.resume_writing()
        await waiting
        dialogue.pause_writing()
        waiting = asyncio.ensure_future(dialogue.drained(10))
        await asyncio.sleep(0)
        dialogue.abort()
        with pytest.raises(Lost):
            await waiting

    asyncio.run(main())


def test_what_we_use_of_aiosmtplib() -> None:
    """The connection is taken over from it: the version range is checked here, not at somebody's mail."""
    client = aiosmtplib.SMTP(hostname="x.example")
    assert client.esmtp_extensions == {}
    assert client.transport is None
    for name in ("connect", "starttls", "ehlo", "helo", "auth_plain", "auth_login", "auth_crammd5", "auth_xoauth2"):
        assert "timeout" in inspect.signature(getattr(client, name)).parameters
    client.close()
