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

ALL = {
    "rfc3501": RFC3501,
    "plain": PLAIN,
    "tiny": TINY,
    "multi": MULTI,
    "nul": NUL,
    "barelf": BARE_LF,
    "headeronly": HEADER_ONLY,
}
