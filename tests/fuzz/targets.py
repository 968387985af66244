"""What is fuzzed: each target with octets to begin with. `found/` keeps each input that ever was a find, by target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.differential import broken
from tests.fuzz import (
    intake_targets,
    mime_targets,
    outbound_targets,
    report_targets,
    upstream_targets,
    wire_targets,
)

FOUND: Final = Path(__file__).with_name("found")
LARGEST: Final = 65_536


@dataclass(frozen=True)
class Target:
    """`seeds` begin a run; `tokens` are what inputs are made of, for the fuzzer's dictionary and for bombs."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    tokens: tuple[bytes, ...]

    def found(self) -> list[Path]:
        return sorted((FOUND / self.run.__name__).glob("*"))


_COMMANDS = (
    b"CAPABILITY", b"LOGIN a {3+}\r\nabc", b"AUTHENTICATE PLAIN AGEAYg==", b'SELECT "a b" (CONDSTORE)',
    b"CREATE x (USE (\\Sent))",
    b'LIST (SUBSCRIBED) "" (a% *) RETURN (CHILDREN STATUS (MESSAGES UIDNEXT))', b'LSUB "" *', b"RENAME &AOQ- b",
    b"STATUS INBOX (MESSAGES UNSEEN HIGHESTMODSEQ)", b'APPEND x (\\Seen k) "17-Jul-1996 02:44:25 -0700" {310}\r\n',
    b"SEARCH RETURN (MIN ALL) CHARSET UTF-8 OR NOT SEEN (FROM x SINCE 1-Feb-1994) UID 1:*,4 LARGER 5",
    b"UID SEARCH HEADER X-A {1}\r\nb BODY c", b"FETCH 1:4,6 (FLAGS BODY.PEEK[1.2.HEADER.FIELDS (a b)]<0.5> ENVELOPE)",
    b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE 5 VANISHED)", b"STORE 1 (UNCHANGEDSINCE 3) +FLAGS.SILENT (\\Seen $x)",
    b"COPY $ x", b"UID MOVE 4:9 x", b"UID EXPUNGE 3", b'ID ("a" NIL "b" "c")', b"ENABLE CONDSTORE UTF8=ACCEPT",
    b'GETMETADATA (DEPTH 1 MAXSIZE 9) "" (/shared/comment)', b'SETMETADATA x (/private/a NIL /b "c")', b"GETQUOTA x",
    b"SETQUOTA x (STORAGE 5)", b'SORT (REVERSE DATE) UTF-8 ALL', b"THREAD REFERENCES UTF-8 ALL", b"IDLE", b"X" * 70,
)  # fmt: skip
_GRAMMAR = (
    b"a ", b"\r\n", b" ", b"(", b")", b'"', b"\\", b"{1}\r\n", b"{1+}\r\n", b"~{1+}\r\n", b"{99999999999}\r\n", b"\0",
    b"OR ", b"NOT ", b"1:*,", b"4294967295", b"BODY[", b"1.", b"]", b"<0.1>", b"*", b"%", b"NIL", b"\xc3\xa4", b"&AOQ-",
    b"APPEND x ", b"LOGIN ", b"ID ", b"SEARCH ", b"FETCH 1 ", b"$",
)  # fmt: skip
_MAIL = (
    b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: multipart/digest; boundary=bb\n", b"--b\r\n",
    b"--b--\r\n",
    b"\n--bb\n", b"Content-Type: message/rfc822\r\n", b"\r\n\r\n", b"\n", b"\r", b"\0",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Subject: =?utf-8?q?a?=\r\n", b"From: A <a@b>\r\n", b" folded\r\n",
    b"Content-Type: text/html; charset=utf-16\r\n", b"<p>",
)  # fmt: skip
_FIELDS = (
    b"Subject: a\r\n", b" b\r\n", b"\tc\n", b"TO:x\r\n", b"junk\r\n", b"X-A : y\r\n", b":", b",", b"\0", b"\r\n",
    b"\n\n",
)  # fmt: skip
_ADDRESSES = (
    b"a", b"@", b".", b",", b";", b":", b"<", b">", b"(", b")", b'"', b"\\", b" ", b"\r\n ", b"[", b"]",
    b"=?utf-8?q?x,y?=",
    b'"N" <x@y>, ', b"Group: a@b;", b"<@r,@s:a@b>", b"name*0=", b"name*1*=", b"%20", b"; ", b"=", b"a@b (c) ",
)  # fmt: skip
_SMALL = tuple(octets for octets in broken.MESSAGES.values() if len(octets) < 4000)

TARGETS: Final = {
    target.run.__name__: target
    for target in (
        Target(intake_targets.proxy_header, intake_targets.PROXY_SEEDS, intake_targets.PROXY_TOKENS),
        Target(intake_targets.lmtp_data, intake_targets.DATA_SEEDS, intake_targets.DATA_TOKENS),
        Target(
            wire_targets.framing,
            tuple(b"%c%c%ca %b\r\nb NOOP\r\n" % (n & 3, n, n, c) for n, c in enumerate(_COMMANDS)),
            _GRAMMAR,
        ),
        Target(wire_targets.parser, tuple(c.replace(b"\r\n", b"\n") for c in _COMMANDS), _GRAMMAR),
        Target(
            wire_targets.values,
            (b'(a "b" NIL (c {1}\nd) BODY[X (Y)]<0> \\Seen)\0e', b"((1 2)(3 4))", b"~{3}\n\0abc"),
            _GRAMMAR,
        ),
        Target(
            wire_targets.mailbox_names,
            (b"INBOX", b"&AOQ-", b"a&-b", b"&ZeVnLIqe-/x", "日本語/ä".encode(), b"&AOQA5A-&-"),
            (b"&", b"-", b"AOQ", b",", b"&-", b"/", b"\xff", b"2AA", "😀".encode()),
        ),
        Target(
            wire_targets.sequence_sets,
            (b"\x051:4,6,*", b"\x09*:3,7:2", b"\0$", b"\xff4294967295:1,1:4294967295"),
            (b"1:*,", b"*:", b"4294967295,", b"7:3,", b"0", b"1,", b":"),
        ),
        Target(
            wire_targets.dates,
            (b"1-Feb-1994", b"17-Jul-1996 02:44:25 -0700", b" 1-Jan-0001 00:00:60 +2359"),
            (b"-Feb-", b"31", b"0000", b":60", b" ", b"+", b"9999"),
        ),
        Target(
            wire_targets.patterns,
            (b"a/%/b*\na/x/bcd", b"INB%\nINBOX", "ä*%*\nä/ö".encode()),
            (b"*", b"%", b"a", b"/", b"\n", b"INBOX", b"*a"),
        ),
        Target(
            wire_targets.logins,
            (
                b"\0AGEAYg==",
                b"\x01\nYQ==\nYg==",
                b"\x02dXNlcj1hAWF1dGg9QmVhcmVyIGIBAQ==",
                b"\x03bixhPWEsAWF1dGg9QmVhcmVyIGIBAQ==",
                b"\x04biwsbj1hLHI9Yg==\nYz1iaXdzLHI9Ym5vbmNlLHA9QUE9PQ==",
                b"\x45n,,n=a,r=b",
                b"\x45p=tls-exporter,,n=a,r=b\n*",
            ),
            (
                b"\n",
                b"*",
                b"=",
                b"n,,",
                b"p=tls-exporter,,",
                b"n=a,r=b",
                b"\x01",
                b"\0",
                b"AA==",
                b"auth=Bearer b\x01\x01",
            ),
        ),
        Target(
            wire_targets.scram_messages,
            (
                b"n,,n=user,r=abc\nc=biws,r=abcnonce,p=" + b"A" * 43 + b"=",
                b"y,a=x,n=a=2Cb,r=c,x=y\n",
                b"p=x,,n=\xc2\xaa,r=c\n",
            ),
            (b"n,,", b"n=", b"r=", b"=2C", b"=3D", b",", b"c=biws,", b"\n", b"p=", b"\xe2\x80\x8b", "א".encode()),
        ),
        Target(
            outbound_targets.server_replies,
            (b"\x03220 hi\r\n250-a\r\n250 b\r\n", b"\x00250 ok\r\n\r\n", b"\xff354-x\r\n355 y\r\n"),
            (b"250", b"-", b" ", b"\r\n", b"\n", b"\r", b"x", b"250-a\r\n", b"250 a\r\n", b"\xff", b"\0"),
        ),
        Target(upstream_targets.server_responses, upstream_targets.RESPONSE_SEEDS, upstream_targets.TOKENS),
        Target(upstream_targets.upstream_session, upstream_targets.SESSION_SEEDS, upstream_targets.TOKENS),
        Target(
            outbound_targets.going_out,
            (
                b"\0Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
                b"\xc3\xab and others\r\n--b--\r\n",
                b"\1Content-Transfer-Encoding: binary\r\n\r\n\0\r\n.\r\n\n.\n",
                b"\0Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xff\r\n--b--",
            ),
            (*_MAIL, b"\xff", b"x" * 70, b"--", b".", b"\r\n.\r\n", b"multipart/signed", b": binary\r\n"),
        ),
        Target(
            report_targets.incoming_reports,
            (
                b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"
                b"Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; a@x\nAction: failed\nStatus: 5.1.1\n"
                b"Diagnostic-Code: smtp; 550 5.1.1 no\n\n--b\nContent-Type: message/rfc822\n\nMessage-ID: <o@x>\n",
                b"X-Failed-Recipients: a@x\nFrom: MAILER-DAEMON@x\n\n550 5.1.1 no\n\nMessage-ID: <o@x>\n",
            ),
            (
                b"Final-Recipient: ", b"Original-Recipient: ", b"rfc822;", b"utf-8;", b"\\x{EB}", b"\\x{FFFFFF}",
                b"Action: delayed", b"Status: 4.0.0", b"Diagnostic-Code: ", b"\n\n", b"\r\n", b"\n--b\n", b"<a@x>",
                b"Content-Transfer-Encoding: base64\n", b"Message-ID: <", b"failed addresses follow:", b"(", b"550-",
                b"+2B",
            ),
        ),
        Target(
            report_targets.original_recipients,
            (b"rfc822;a+2Bb@x", b"utf-8;zo\\x{EB}@x", "utf-8;zoë@x".encode()),
            (b"+0D", b"+", b"\\x{", b"}", b"rfc822;", b"utf-8;", b"=", b"D800", b"10FFFF"),
        ),
        Target(mime_targets.scan, tuple(b"%c" % (n % 256) + octets for n, octets in enumerate(_SMALL)), _MAIL),
        Target(mime_targets.headers, tuple(b"subject,to\0" + octets for octets in _SMALL), _FIELDS),
        Target(
            mime_targets.field_values,
            tuple(
                line.partition(b": ")[2]
                for octets in _SMALL
                for line in octets.split(b"\r\n\r\n")[0].split(b"\r\n")
                if b":" in line
            ),
            _ADDRESSES,
        ),
        Target(
            mime_targets.sent_dates,
            (
                b"Mon, 1 Jan 2024 10:00:00 +0000",
                b"6 Nov 94 08:49 EST (x)",
                b"1-Jan-101 1:2:3.5 GMT+01:00",
                b", 29 Feb 2000",
            ),
            (b"Mon, ", b"31 ", b"Feb ", b"2000 ", b"99", b":", b"+9959", b"(", b")", b"EST", b"-", b"."),
        ),
        Target(
            mime_targets.texts,
            (
                b"utf-8\0=?utf-8?b?R3LDvMOf?= =?x?q?_a=C3?=",
                b"utf-7\0+2AA-",
                b"iso-2022-jp\0\x1b$B",
                b"utf-16\0a\0",
                b"\0Re: [x] Fwd: y (fwd)",
                b"idna\0xn--",
                b"\0<p a='b'>c&amp;&#55555;<!-- d --><script>e</script>",
                b"hz\0~{",
                b"unicode_escape\0\\ud800",
            ),
            (
                b"=?utf-8?q?",
                b"?=",
                b"=?x?b?",
                b" ",
                b"\0",
                b"<!--",
                b"-->",
                b"<a",
                b"'",
                b">",
                b"&",
                b"Re:",
                b"[",
                b"]",
                b"(fwd)",
                b"\xff",
                b"\x1b$B",
                b"+AA",
            ),
        ),
        Target(
            mime_targets.encodings,
            (
                b"\x00\x05YWJj\r\nZGVm==Zw",
                b"\x01\x03a=3Db=\r\nc \t\r\n=4",
                b"\x03\x07begin 644 x\n#86)C\n`\nend\n",
                b"\x02\x01a",
            ),
            (b"=", b"=\r\n", b"=3D", b" ", b"\t", b"\r\n", b"YWJj", b"begin 644 x\n", b"end\n", b"M", b"-"),
        ),
    )
}
