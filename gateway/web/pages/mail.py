"""Mail in the browser: lists, search, and reading. What a message brings along runs nothing and fetches nothing."""

from __future__ import annotations

import html
from contextlib import suppress
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from gateway.access import changing, draft_views, drafting, messages, octets, sending
from gateway.access.caller import Caller
from gateway.access.changing import Marks
from gateway.access.draft_views import Place
from gateway.access.listing import Placed
from gateway.access.query import Query
from gateway.access.sight import Sight, sight
from gateway.model.errors import NoPermission, NotFound
from gateway.model.mailbox import DRAFTS, INBOX
from gateway.model.rights import Action, allowed
from gateway.store.db import Rx, Tx
from gateway.store.listing import Listed
from gateway.web.api.downloads import download
from gateway.web.api.messages import cursor_of, point_of

from .shell import Person, Shell, back

router = APIRouter(include_in_schema=False)

PAGE: Final = 50
_FRAME: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:{images}; font-src data:; form-action 'none';"
    " base-uri 'none'; frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
_QUIET: Final = (
    '<!doctype html><html><head><meta charset="utf-8"><base target="_blank">'
    "<style>body{{font:16px/1.5 system-ui,sans-serif;margin:12px;color:#1a1d23;background:#fff;"
    "overflow-wrap:anywhere}}</style></head><body>{body}</body></html>"
)


@router.get("/inboxes/{inbox}/mail")
async def list_page(person: Person, inbox: str, mailbox: str = "INBOX", q: str = "", after: str = "") -> Response:
    """`mailbox` "" is all of them."""
    seen = await _sight(person, inbox)
    query = Query(mailbox=mailbox or None, text=q.strip()[:500] or None)
    found = await messages.list_messages(
        person.services.db, person.services.digests, person.who, inbox, query, point_of(after or None), PAGE,
        person.services.trigrams,
    )
    following = cursor_of(found.next)
    return person.page(
        "mail.html", title=f"{mailbox or 'All mail'} · {seen.inbox.address}", inbox=seen.inbox, mailbox=mailbox, q=q,
        boxes=_shown(seen), messages=found.messages,
        following=following and f"?{urlencode({'mailbox': mailbox, 'q': q, 'after': following})}",
    )  # fmt: skip


@router.get("/inboxes/{inbox}/mail/{message}")
async def read_page(person: Person, inbox: str, message: str, images: bool = False) -> Response:
    seen = await _sight(person, inbox)
    services = person.services
    full = await messages.full_message(services.db, services.digests, person.who, inbox, message)
    if person.who.may("message_update") and "\\Seen" not in full.message.placed.flags:
        await services.db.write(lambda tx: _read(tx, person.who, inbox, message))
    draft = await services.db.read(lambda rx: _draft(rx, seen, full.message.placed))
    return person.page(
        "message.html", draft=draft, edits=allowed(person.who.permissions, Action.FLAG, DRAFTS),
        boxes=_shown(seen),
        title=full.message.digest.subject or "(no subject)", inbox=seen.inbox, message=full.message,
        digest=full.message.digest, body=full.body, images=images,
    )  # fmt: skip


def _shown(seen: Sight) -> list[Listed]:
    """Mailboxes that hold mail, INBOX first."""
    return sorted((box for box in seen.boxes.values() if not box.noselect), key=lambda box: box.name != INBOX)


def _draft(rx: Rx, seen: Sight, placed: Placed) -> Place | None:
    """What a message in Drafts waits for, and its name as a draft; None for other mail."""
    if not any(box.role == DRAFTS and box.name in {at.mailbox for at in placed.places} for box in seen.boxes.values()):
        return None
    with suppress(NotFound):  # it was sent or removed meanwhile
        return draft_views.find(rx, sending.post_of(rx, seen.who, seen.inbox.address), placed.id)
    return None


@router.post("/inboxes/{inbox}/mail/{message}/approve")
async def approve(person: Person, inbox: str, message: str) -> Response:
    """Consent to what a key without the right to send has written; a draft of one's own is sent so too."""
    fields = await person.form()
    draft = fields.get("draft", message)
    if fields.get("waits"):
        await drafting.approve(person.services, person.who, inbox, draft)
    else:
        await drafting.send(person.services, person.who, inbox, draft)
    return back(f"/inboxes/{inbox}/mail?mailbox=Sent")


@router.get("/inboxes/{inbox}/mail/{message}/html")
async def html_frame(person: Person, inbox: str, message: str, images: bool = False) -> Response:
    """What a sandboxed frame shows: an origin of its own, no script, nothing from elsewhere but, if asked, images."""
    services = person.services
    full = await messages.full_message(services.db, services.digests, person.who, inbox, message)
    body = full.body.html
    text = _QUIET.format(body=body if body is not None else f"<pre>{html.escape(full.body.text)}</pre>")
    policy = _FRAME.format(images=" https:" if images else "")
    return HTMLResponse(text, headers={"Content-Security-Policy": policy, "X-Frame-Options": "SAMEORIGIN"})


@router.get("/inboxes/{inbox}/mail/{message}/raw")
async def raw(request: Request, person: Person, inbox: str, message: str) -> Response:
    stream = await octets.raw(person.services.db, person.who, inbox, message)
    return download(request, person.services.db, stream, f"{message}.eml")


@router.get("/inboxes/{inbox}/mail/{message}/parts/{part}")
async def part(request: Request, person: Person, inbox: str, message: str, part: str) -> Response:
    stream = await octets.part(person.services.db, person.who, inbox, message, part)
    return download(request, person.services.db, stream, stream.file_name)


def _read(tx: Tx, who: Caller, inbox: str, message: str) -> None:
    """Opening a message is reading it, where the key may say so."""
    taken = changing.taken(tx, who, inbox, [message])
    with suppress(NoPermission):
        changing.mark(tx, taken.seen, taken.found, Marks(add=("\\Seen",)))


async def _sight(person: Shell, inbox: str) -> Sight:
    return await person.services.db.read(lambda rx: sight(rx, person.who, inbox))
