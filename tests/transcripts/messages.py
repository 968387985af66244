"""Messages that transcripts deliver by name."""

from __future__ import annotations

RFC3501 = (
    b"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"
    b"From: Terry Gray <gray@cac.washington.edu>\r\n"
    b"Subject: IMAP4rev1 WG mtg summary and minutes\r\n"
    b"To: imap@cac.washington.edu\r\n"
    b"Cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n"
    b"Message-Id: <B27397-0100000@cac.washington.edu>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n"
    b"\r\n"
    b"Minutes of the meeting.\r\n"
    b"See you.\r\n"
)
PLAIN = b"From: Ann <ann@example.org>\r\nSubject: lunch\r\nDate: Mon, 2 Feb 2026 23:30:00 -0500\r\n\r\nAt noon?\r\n"
PROPOSAL = (
    b"From: Ann <a@example.org>\r\nTo: b@example.org, x@elsewhere.net\r\nBcc: y@elsewhere.net\r\n"
    b"Subject: plan\r\nMessage-ID: <1@example.org>\r\nDate: Tue, 14 Nov 2023 22:00:00 +0000\r\n\r\nShall we?\r\n"
)
TINY = b"Subject: x\r\n\r\nhi\r\n"
MULTI = (
    b"From: bob@example.net\r\nTo: a@example.org\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=X\r\n\r\n"
    b"--X\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"Z3LDvG5lIFdpZXNl\r\n"
    b"--X\r\nContent-Type: message/rfc822\r\n\r\n"
    b"From: inner@example.net\r\nSubject: inside\r\n\r\ninner text\r\n"
    b"--X--\r\n"
)
NUL = b"Subject: nul\r\n\r\na\0b\r\n"
BARE_LF = b"Subject: bare\nX-Other: 1\n\nline one\nline two\n"
HEADER_ONLY = b"Subject: no body"


def letter(
    subject: str, day: int, *links: str, sender: str = "ann", to: str = "", cc: str = "", extra: str = ""
) -> bytes:
    """A mail of March 2000 for SORT and THREAD; `links`: its own id, then its references."""
    fields = [f"From: {sender}", f"Subject: {subject}", f"Date: {day} Mar 2000 12:00:00 +0000"]
    fields += [f"To: {to}"] if to else []
    fields += [f"Cc: {cc}"] if cc else []
    fields += [f"Message-ID: <{links[0]}@mail.test>"] if links else []
    fields += ["References: " + " ".join(f"<{link}@mail.test>" for link in links[1:])] if links[1:] else []
    return ("\r\n".join(fields) + f"\r\n\r\n{subject} of day {day}{extra}\r\n").encode()


LETTERS = {
    "pears": letter("pears", 5, "p1", sender='"Zoe" <bob@example.net>', to="carl@example.net"),
    "apples": letter("apples", 3, "a1", sender="ann@example.net", to="=?utf-8?q?=C3=84nne?= <zed@example.net>"),
    "re-pears": letter("Re: pears", 7, "p2", "p1", sender="ann@example.net", cc="dora@example.net"),
    "fwd-apples": letter("[Fwd: APPLES]", 9, sender="Carl <carl@example.net>", extra="x" * 300),
    "re-pears-late": letter("RE: re: pears", 6, "p3", "p0", "p1", "p2", sender="Bert <BOB@example.net>"),
    "orphan": letter("Re: plums", 8, "q2", "q1", sender="dora@example.net"),
    "orphan-too": letter("Re: plums", 4, "q3", "q1", sender="eve@example.net"),
    "undated": b"From: Ann <ann@example.net>\r\nSubject: \r\n\r\nno date\r\n",
}

REPORT = (
    b"From: MAILER-DAEMON@example.net\r\nSubject: not delivered\r\n"
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
    b"--b\r\n\r\nSorry.\r\n"
    b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; relay.example.net\r\n\r\n"
    b"Final-Recipient: rfc822; gone@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    b"--b\r\nContent-Type: message/disposition-notification\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"RGlzcG9zaXRpb246IGRlbGV0ZWQ=\r\n"
    b"--b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: what came back\r\n"
    b"--b--\r\n"
)

ALL = {
    **LETTERS,
    "rfc3501": RFC3501,
    "plain": PLAIN,
    "proposal": PROPOSAL,
    "tiny": TINY,
    "multi": MULTI,
    "nul": NUL,
    "barelf": BARE_LF,
    "headeronly": HEADER_ONLY,
    "report": REPORT,
}
