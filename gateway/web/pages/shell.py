"""What every page stands in: templates that escape all they are given, who is logged in, and forms that are ours."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import Depends, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import FormData, UploadFile
from starlette.responses import HTMLResponse, RedirectResponse, Response

from gateway.access.caller import Caller
from gateway.model.errors import AuthenticationFailed
from gateway.model.permissions import ScopeKind
from gateway.web import people
from gateway.web.audited import within
from gateway.web.services import WebServices

from . import static_files
from .event_words import words_of

MAX_FILES: Final = 100
"""Of one form."""
MAX_FIELD: Final = 16 << 20
"""Octets of a form's text."""


class NotLoggedIn(AuthenticationFailed):
    """A page that needs a login was asked for without one: the login page is next."""


def _moment(value: object) -> str:
    """Unix seconds, or a time as operations write it, for people: UTC, to the minute."""
    if value is None or value == "":
        return "–"
    if isinstance(value, int | float):
        value = datetime.datetime.fromtimestamp(value, datetime.UTC).isoformat()
    return str(value)[:16].replace("T", " ")


def shown_octets(value: int | None) -> str:
    if value is None:
        return "–"
    size = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


_TEMPLATES: Final = Environment(
    loader=PackageLoader("gateway.web.pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True,
)  # fmt: skip
SECTIONS: Final = (
    ("/", "Overview", ()), ("/inboxes", "Inboxes", ("inbox_read",)),
    ("/live", "Live", ("message_read", "draft_read", "connector_read")),
    ("/connectors", "Accounts", ("connector_read",)), ("/queue", "Queue", ("queue_read",)),
    ("/keys", "Keys", ("api_key_read",)), ("/health", "Health", ("metrics_read",)), ("/passkeys", "Passkeys", ()),
)
"""Path, name, and the permissions of which it needs one."""
_SCOPES: Final = {"/health": (ScopeKind.ALL,), "/keys": (ScopeKind.ALL, ScopeKind.POD)}
"""Sections that keys of an inbox have not."""


def _sections(who: Caller) -> list[tuple[str, str]]:
    return [
        (path, name) for path, name, needs in SECTIONS
        if (not needs or any(map(who.may, needs))) and who.scope in _SCOPES.get(path, ScopeKind)
    ]  # fmt: skip


_TEMPLATES.globals |= {"static": static_files.address, "sections": _sections, "words_of": words_of}
_TEMPLATES.filters |= {"moment": _moment, "octets": shown_octets, "path": lambda text: quote(str(text), safe="@")}


class Shell:
    """One request of a person who is logged in."""

    def __init__(self, request: Request, who: Caller, token: str) -> None:
        self.request = request
        self.who = who
        self.services: WebServices = within(request.app.state.services, request.scope)
        self._token = token

    def page(self, template: str, *, title: str, status: int = 200, **values: Any) -> Response:
        return page(
            template, title=title, status=status, who=self.who, form_token=people.form_token(self._token),
            here=self.request.url.path, **values,
        )  # fmt: skip

    async def form(self) -> dict[str, str]:
        """The fields of a form of this login. NoPermission: it is not."""
        fields = await fields_of(self.request)
        people.check_form(self._token, fields.pop("form_token", ""))
        return fields

    @asynccontextmanager
    async def upload(self) -> AsyncIterator[tuple[dict[str, str], list[UploadFile]]]:
        """The fields of a form, and the files that came with it. NoPermission: it is not of this login."""
        async with self.request.form(max_fields=500, max_files=MAX_FILES, max_part_size=MAX_FIELD) as form:
            fields = texts_of(form)
            people.check_form(self._token, fields.pop("form_token", ""))
            yield fields, [value for _, value in form.multi_items() if isinstance(value, UploadFile) and value.filename]

    @property
    def by_script(self) -> bool:
        """Whether a script of ours asks, which shows what went wrong in the page that is open."""
        return "text/html" not in self.request.headers.get("accept", "")

    def check_form(self, token: str) -> None:
        """NoPermission: what a script sent is not of this login."""
        people.check_form(self._token, token)

    async def is_logged_in(self) -> bool:
        """Whether the browser is still, for what takes longer than a request."""
        return await self.services.people.find(self._token) is not None

    async def log_out(self) -> None:
        await self.services.people.end(self._token)


async def fields_of(request: Request) -> dict[str, str]:
    """The text fields of a form, the last of each name."""
    return texts_of(await request.form(max_fields=100, max_files=0))


def texts_of(form: FormData) -> dict[str, str]:
    return {name: value for name, value in form.items() if isinstance(value, str)}


def page(template: str, *, title: str, status: int = 200, who: Caller | None = None, **values: Any) -> HTMLResponse:
    base: Mapping[str, Any] = {"form_token": "", "here": "", "notice": "", "error": ""}
    text = _TEMPLATES.get_template(template).render({**base, **values, "title": title, "who": who})
    return HTMLResponse(text, status)


def back(path: str) -> Response:
    """After a form: GET what shows its outcome."""
    return RedirectResponse(path, 303)


async def _shell(request: Request) -> Shell:
    state = request.scope["state"]
    who: Caller | None = state.get("caller")
    token: str = state.get("token", "")
    if who is None or not token:
        raise NotLoggedIn("Log in first")
    return Shell(request, who, token)


Person = Annotated[Shell, Depends(_shell)]
