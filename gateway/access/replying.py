"""Replies and forwards as functions of the original's values: whom they go to, what they are called, what they quote,
and how they hang together (RFC 5322 3.6.4). Pure.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

from gateway.model.errors import InvalidRequest

from .composing import MESSAGE, Attachment, Letter
from .header_fields import Mailbox, is_msg_id

MAX_REFERENCES: Final = 20
"""Ids kept: the first, which is the thread's root, and the nearest ancestors. Some write hundreds."""
NO_SUBJECT: Final = "(no subject)"
_BLANKS: Final = re.compile(r"\s+")
_REPLY: Final = re.compile(r"\s*(?:re|aw|sv|antw|vs)(?:\[\d+\])?\s*:", re.IGNORECASE)
_FORWARD: Final = re.compile(r"\s*(?:fwd?|wg)\s*:", re.IGNORECASE)
_NO_FILE_NAME: Final = re.compile('[\x00-\x1f\x7f-\x9f\\\\/:*?"<>|\u2028\u2029]')
_INSIDE: Final = re.compile(r"<body(?:\s[^>]*)?>(.*?)(?:</body\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_QUOTE: Final = '<blockquote type="cite" style="margin:0 0 0 .8ex;border-left:1px solid #ccc;padding-left:1ex">'


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """What a reply or forward needs of the message before it. `message_id`, `references`: without angle brackets.

    `date`: Unix seconds. `octets`: all of it, where it is to be attached.
    """

    message_id: str | None = None
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    subject: str = ""
    author: tuple[Mailbox, ...] = ()
    reply_to: tuple[Mailbox, ...] = ()
    to: tuple[Mailbox, ...] = ()
    cc: tuple[Mailbox, ...] = ()
    date: int | None = None
    text: str | None = None
    html: str | None = None
    attachments: tuple[Attachment, ...] = ()
    octets: bytes = b""


def recipients(original: Original, own: Collection[str], *, everybody: bool) -> tuple[list[Mailbox], list[Mailbox]]:
    """To and Cc of a reply. `own`: addresses of the inbox in small letters, which get no reply of their own.

    Reply-To is whom the author wants answered; who answers his own mail writes to those that he wrote to. Nobody is
    there twice. InvalidRequest: there is nobody to answer.
    """
    mine = _Own(own)
    wanted = original.reply_to or original.author
    by_me = bool(original.author) and all(each in mine for each in original.author)
    if by_me and all(each in mine for each in wanted):
        wanted = original.to
        to = _each([each for each in wanted if each not in mine]) or _each(wanted)
        more: Iterable[Mailbox] = original.cc
    else:
        to = _each([each for each in wanted if each not in mine]) or _each(wanted)
        more = (*original.to, *original.cc)
    if not to:
        raise InvalidRequest("The message names nobody who could be answered")
    if not everybody:
        return to, []
    known = {_key(each) for each in to}
    return to, [each for each in _each(more) if each not in mine and _key(each) not in known]


def reply_subject(subject: str) -> str:
    """With one `Re:`, whatever program wrote the ones before."""
    return _marked("Re: ", subject, _REPLY)


def forward_subject(subject: str) -> str:
    return _marked("Fwd: ", subject, _FORWARD)


def threading(original: Original) -> tuple[str | None, tuple[str, ...]]:
    """In-Reply-To and References, with angle brackets: RFC 5322 3.6.4, without what is no msg-id."""
    parents = original.references or (original.in_reply_to if len(original.in_reply_to) == 1 else ())
    ids = [f"<{one}>" for one in (*parents, original.message_id or "")]
    ids = list(dict.fromkeys(one for one in ids if is_msg_id(one)))
    if len(ids) > MAX_REFERENCES:
        ids = ids[:1] + ids[1 - MAX_REFERENCES :]
    own = f"<{original.message_id or ''}>"
    return (own if is_msg_id(own) else None), tuple(ids)


def reply(letter: Letter, original: Original, own: Collection[str], *, everybody: bool, quote: bool) -> Letter:
    """The letter as a reply; what it says already stays: its To, more Cc, its subject."""
    to, cc = (list(letter.to), []) if letter.to else recipients(original, own, everybody=everybody)
    taken = {_key(each) for each in to}
    cc = [each for each in _each([*cc, *letter.cc]) if _key(each) not in taken]
    in_reply_to, references = threading(original)
    text, body = letter.text, letter.html
    if quote:
        if text is not None or body is None:
            text = f"{text or ''}\r\n\r\n{quoted_text(original)}"
        if body is not None:
            body = f"{body}<br><br>{quoted_html(original)}"
    return replace(
        letter, to=tuple(to), cc=tuple(cc), subject=letter.subject or reply_subject(original.subject), text=text,
        html=body, in_reply_to=in_reply_to, references=references,
    )  # fmt: skip


def forward(letter: Letter, original: Original, *, attach: bool) -> Letter:
    """The letter with the original below it and its attachments, or with all of it as one attachment."""
    subject = letter.subject or forward_subject(original.subject)
    _, references = threading(original)
    if attach:
        name = _BLANKS.sub(" ", _NO_FILE_NAME.sub(" ", original.subject)).strip()[:100]
        whole = Attachment(original.octets, f"{name or 'message'}.eml", MESSAGE)
        return replace(letter, subject=subject, references=references, attachments=(*letter.attachments, whole))
    text, body = letter.text, letter.html
    if body is None and original.html is not None:
        body = _paragraphs(text) if text else ""
    if body is not None:
        body = f"{body}<br><br>{forwarded_html(original)}"
    if text is not None or letter.html is None:
        text = f"{text or ''}\r\n\r\n{forwarded_text(original)}"
    return replace(
        letter, subject=subject, references=references, text=text, html=body,
        attachments=(*letter.attachments, *original.attachments),
    )  # fmt: skip


def attribution(original: Original) -> str:
    """Who wrote what follows, and when."""
    who = ", ".join(map(shown, original.author)) or "somebody"
    return f"On {_date(original.date)}, {who} wrote:" if original.date is not None else f"{who} wrote:"


def quoted_text(original: Original) -> str:
    lines = original.text.splitlines() if original.text is not None else []
    marked = [f">{line}" if line.startswith(">") else f"> {line}".rstrip() for line in lines]
    return "\r\n".join([attribution(original), *marked]) + "\r\n"


def quoted_html(original: Original) -> str:
    return f"<div>{html.escape(attribution(original))}</div>{_QUOTE}{_shown_html(original)}</blockquote>"


def forwarded_text(original: Original) -> str:
    head = [f"{name}: {value}" for name, value in _head(original)]
    return "\r\n".join(["---------- Forwarded message ---------", *head, "", original.text or ""])


def forwarded_html(original: Original) -> str:
    head = "<br>".join(f"{name}: {html.escape(value)}" for name, value in _head(original))
    return f"<div>---------- Forwarded message ---------<br>{head}</div><br>{_shown_html(original)}"


def shown(one: Mailbox) -> str:
    """As people read it."""
    return f"{one.name} <{one.address}>" if one.name else one.address


def _head(original: Original) -> list[tuple[str, str]]:
    found = [("From", ", ".join(map(shown, original.author)))]
    if original.date is not None:
        found.append(("Date", _date(original.date)))
    found.append(("Subject", original.subject or NO_SUBJECT))
    found += [(name, ", ".join(map(shown, them))) for name, them in (("To", original.to), ("Cc", original.cc)) if them]
    return found


def _shown_html(original: Original) -> str:
    if original.html is not None:
        inside = _INSIDE.search(original.html)
        return inside[1] if inside else original.html
    return _paragraphs(original.text or "")


def _paragraphs(text: str) -> str:
    return f'<div style="white-space:pre-wrap">{html.escape(text)}</div>'


def _marked(mark: str, subject: str, known: re.Pattern[str]) -> str:
    said = _BLANKS.sub(" ", subject).strip()
    return said if known.match(said) else (mark + said).rstrip()


def _date(unix: int) -> str:
    try:
        return format_datetime(datetime.fromtimestamp(unix, UTC))
    except (OverflowError, ValueError, OSError):  # a year that no calendar has
        return "some day"


class _Own:
    """The inbox's addresses, those with +detail too."""

    def __init__(self, own: Collection[str]) -> None:
        self._own = {each.lower() for each in own}

    def __contains__(self, one: Mailbox) -> bool:
        address = one.address.lower()
        local, _, domain = address.rpartition("@")
        return address in self._own or f"{local.partition('+')[0]}@{domain}" in self._own


def _each(them: Iterable[Mailbox]) -> list[Mailbox]:
    return list({_key(one): one for one in reversed(list(them))}.values())[::-1]


def _key(one: Mailbox) -> str:
    return one.address.lower()
