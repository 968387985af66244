"""OAuth: logging in at the provider of an account. The browser comes back to a page (`pages.provider_login`)."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from gateway.web import connecting, logins
from gateway.web.logins import MAX_PASTED

from .connectors import ConnectorOut, shown
from .parts import Services, Strict, Who

router = APIRouter(prefix="/api/v1", tags=["oauth"])


class App(BaseModel):
    """An application as a provider knows us. `redirect`: where it sends browsers back; null: to their own machine."""

    name: str
    provider: str
    tenant: str | None
    redirect: str | None
    status: str


class Apps(BaseModel):
    """`callback`: this server's address, to be registered at the provider and given as the application's redirect."""

    callback: str
    items: list[App]


class LoginNew(Strict):
    """Without `app`: the only application of the connector's provider. `shared`: who else may open the mailbox.

    `paste`: the application is a desktop one; the browser ends at an address of its own machine, which is given to
    /api/v1/oauth/finish.
    """

    app: Annotated[str, Field(max_length=200)] | None = None
    legs: Annotated[list[Literal["imap", "smtp"]], Field(min_length=1, max_length=2)] | None = None
    shared: Annotated[list[Annotated[str, Field(max_length=320)]], Field(max_length=20)] | None = None
    paste: bool = False


class LoginBegun(BaseModel):
    """Send a browser to `url`. `expires_at`: Unix seconds."""

    url: str
    state: str
    redirect: str
    expires_at: int


class LoginEnd(Strict):
    """`pasted`: the whole address at which the browser ended, or the code alone with the login's `state`."""

    pasted: Annotated[str, Field(min_length=1, max_length=MAX_PASTED)]
    state: Annotated[str, Field(min_length=1, max_length=200)] | None = None


@router.get("/oauth/apps")
async def list_apps(services: Services, who: Who) -> Apps:
    """Applications that connectors can log in with; `gateway oauth add` makes them."""
    who.need("connector_read")
    rows = await services.operate("oauth.app.list", {})
    names = App.model_fields.keys()
    return Apps(
        callback=logins.callback(services),
        items=[App(**{key: value for key, value in row.items() if key in names}) for row in rows],
    )


@router.post("/connectors/{connector}/login")
async def begin_login(services: Services, who: Who, connector: str, body: LoginNew) -> LoginBegun:
    """Begin a login at the provider; only the key that began it finishes it."""
    who.need("connector_update")
    one = await connecting.known(services, who, connector)
    app = await logins.application(services, one.row.provider, body.app)
    legs: list[str] | None = None if body.legs is None else list(body.legs)
    begun = await logins.begin(
        services, who, one, app=app, legs=legs, shared=body.shared,
        redirect=None if body.paste else logins.callback(services),
    )  # fmt: skip
    return LoginBegun(url=begun.url, state=begun.state, redirect=begun.redirect, expires_at=begun.expires_at)


@router.post("/oauth/finish")
async def finish_login(services: Services, who: Who, body: LoginEnd) -> ConnectorOut:
    """End a login that this key began; the connector logs in with it from now on."""
    who.need("connector_update")
    one = await logins.finish(services, who, body.pasted, body.state)
    return shown(await connecting.ask(services, one, "connector.show"))
