"""A stored draft read back as a letter, so that a part of it can be changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.model.errors import InvalidRequest, NotFound
from gateway.store import digest_rows

from . import messages, originals
from .bodies import chosen
from .composing import Letter, is_reserved
from .draft_views import NO_DRAFT, Place
from .header_fields import is_msg_id, unstructured
from .rendered import NotRendered, heads_of, leaves_of
from .sending import Post, Services

MOST_FIELDS: Final = 50


@dataclass(frozen=True, slots=True)
class Written:
    """`message_id`: without angle brackets; None: the draft has none."""

    letter: Letter
    message_id: str | None


async def letter_of(services: Services, post: Post, place: Place) -> Written:
    """With its attachments. NotFound once it is collected, TooBig."""
    db = services.db
    rows = await db.read(lambda rx: digest_rows.rows(rx, [place.content_id]))
    if not rows:
        raise NotFound(NO_DRAFT)
    row = rows[0]
    body = await db.offload(messages.body, place.content_id)
    if body.cut:
        raise InvalidRequest("The draft's text is too long to be changed here")
    try:
        heads, slots = heads_of(row.envelope), chosen(leaves_of(row.bodystructure)).slots
    except NotRendered:
        raise InvalidRequest("The draft's header is too long to be changed here") from None
    plain = any(slot.plain is not None for slot in slots)
    author = originals.valid(heads.from_)
    values = originals.values_of(row)
    ids = [f"<{one}>" for one in values.references]
    answers = [f"<{one}>" for one in values.in_reply_to]
    letter = Letter(
        sender=author[0] if author else post.author, to=values.to, cc=values.cc, bcc=originals.valid(heads.bcc),
        reply_to=values.reply_to, subject=heads.subject, text=body.text if plain else None, html=body.html,
        attachments=await originals.attachments_of(db, row, services.submissions.settings.max_message_size),
        headers=_own(body.headers), in_reply_to=next(filter(is_msg_id, answers), None),
        references=tuple(filter(is_msg_id, ids)),
        send_at=place.waiting.release_at if place.waiting is not None and not place.waiting.approval else None,
    )  # fmt: skip
    message_id = values.message_id
    return Written(letter, message_id if message_id and is_msg_id(f"<{message_id}>") else None)


def _own(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Fields that a letter may have of its own, as far as they can be written again."""
    found = []
    for name, value in headers:
        if is_reserved(name) or not value:
            continue
        try:
            unstructured(name, value)
        except InvalidRequest:
            continue
        found.append((name, value))
    return tuple(found[:MOST_FIELDS])
