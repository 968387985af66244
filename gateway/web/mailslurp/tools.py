"""What their guides use besides: a test of any SMTP server, and OAuth for an account elsewhere."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from gateway.access.caller import Caller
from gateway.access.connectors import connectors_of
from gateway.model.errors import GatewayError, InvalidRequest
from gateway.store import short_notes
from gateway.store.connectors.rows import ConnectorRow
from gateway.web import connecting, logins
from gateway.web.api.parts import Services, Who
from gateway.web.connecting import Known
from gateway.web.services import Json, WebServices

from .connectors import OFF, dto, private, schedule
from .options import security
from .parts import Given, Theirs

router = APIRouter(tags=["mailslurp tools"])
_KINDS: Final = {"GOOGLE": "google", "MICROSOFT": "microsoft"}
MOST_LOGINS: Final = 1_000
_LOGIN: Final = "mailslurp login"


class TestSmtpServerOptions(Given):
    """`from`: in MAIL, which is taken back: no mail is sent."""

    host: Annotated[str, Field(min_length=1, max_length=255)]
    port: Annotated[int, Field(ge=1, le=65535)]
    use_start_tls: bool = False
    username: Annotated[str, Field(max_length=1000)] | None = None
    password: Annotated[str, Field(max_length=1000)] | None = None
    from_: Annotated[str | None, Field(alias="from", max_length=320)] = None
    to: Annotated[str, Field(max_length=320)] | None = None


class SmtpTlsDiagnosticResult(Theirs):
    supported: bool
    negotiated: bool
    protocol: str | None = None
    cipher: str | None = None


class SmtpAuthDiagnosticResult(Theirs):
    attempted: bool
    success: bool
    mechanism: str | None = None


class SmtpDiagnosticStep(Theirs):
    step: str
    code: str | None = None
    message: str


class TestSmtpServerResults(Theirs):
    connected: bool
    banner: str | None = None
    tls: SmtpTlsDiagnosticResult
    auth: SmtpAuthDiagnosticResult
    transcript: list[SmtpDiagnosticStep]
    warnings: list[str]
    errors: list[str]


class CreateOAuthConnectionResult(Theirs):
    url: str


class CreateOAuthExchangeResult(Theirs):
    success: bool
    inbox_id: str | None = None
    error: str | None = None


@router.post("/tools/test-smtp-server")
async def try_smtp_server(services: Services, who: Who, body: TestSmtpServerOptions) -> TestSmtpServerResults:
    """Test an SMTP server: connection, TLS, login, and whether it takes mail; none is sent."""
    who.need("connector_update")
    smtp: dict[str, Any] = {
        "host": body.host, "port": body.port,
        "security": security(body.port, None if body.use_start_tls else False, body.use_start_tls),
    }  # fmt: skip
    if body.username and body.password:
        smtp |= {"user": body.username, "secret": body.password}
    if private(services, who):
        smtp["allow_private"] = True
    sender = body.from_ or (body.username if body.username and "@" in body.username else f"postmaster@{body.host}")
    [probe] = await connecting.probe_unsaved(
        services, who, address=sender, options={"imap": OFF, "smtp": smtp}, provider="custom", side="smtp"
    )
    return diagnosed(probe, smtp)


def diagnosed(probe: Json, smtp: dict[str, Any]) -> TestSmtpServerResults:
    """A test in their words. Pure."""
    steps = {step["name"]: step for step in probe["steps"] if step["ok"]}
    clear = smtp["security"] == "none"
    words = steps["tls"]["text"].split(", ") if "tls" in steps and not clear else []
    login = steps.get("login", {}).get("text", "")
    warnings = ["The connection is not encrypted: all is readable on the way"] if clear and "connect" in steps else []
    return TestSmtpServerResults(
        connected="connect" in steps,
        banner=steps.get("greeting", {}).get("text"),
        tls=SmtpTlsDiagnosticResult(
            supported=bool(words), negotiated=bool(words), protocol=words[0] if words else None,
            cipher=words[1] if len(words) > 1 else None,
        ),
        auth=SmtpAuthDiagnosticResult(
            attempted="secret" in smtp, success="login" in steps, mechanism=login.rpartition(" by ")[2] or None
        ),
        transcript=[
            SmtpDiagnosticStep(step=step["name"], code="OK" if step["ok"] else "FAILED", message=step["text"])
            for step in probe["steps"]
        ],
        warnings=warnings,
        errors=[] if probe["success"] else [" ".join(filter(None, (probe["message"], probe["advice"])))],
    )  # fmt: skip


def _login(who: Caller, redirect: str) -> bytes:
    """What a key's last login of a redirect address is kept under: the second call bears no state."""
    return f"{who.key_id} {redirect}".encode()


@router.post("/oauth-connection", status_code=201)
async def create_oauth_connection(
    services: Services, who: Who, redirectBase: Annotated[str, Query(max_length=2000)],
    oAuthConnectionType: Literal["GOOGLE", "MICROSOFT"],
    emailAddress: Annotated[str | None, Query(max_length=320)] = None,
) -> CreateOAuthConnectionResult:  # fmt: skip
    """Begin a login for an account; a connector is made for it where there is none."""
    who.need("connector_update")
    if not emailAddress:
        raise InvalidRequest("emailAddress is needed: a login is for one account")
    provider = _KINDS[oAuthConnectionType]
    app = await logins.application(services, provider, None)
    one = await _connector(services, who, emailAddress.strip().lower(), provider)
    begun = await logins.begin(services, who, one, app=app, redirect=redirectBase)
    now = int(services.clock())
    await services.db.write(lambda tx: short_notes.put(
        tx, _LOGIN, _login(who, begun.redirect), begun.state, expires=begun.expires_at, now=now, most=MOST_LOGINS
    ))  # fmt: skip
    return CreateOAuthConnectionResult(url=begun.url)


async def _connector(services: WebServices, who: Caller, address: str, provider: str) -> Known:
    def query(rx: Any) -> ConnectorRow | None:
        return next((row for row in connectors_of(rx, who) if row.address == address), None)

    row = await services.db.read(query)
    if row is not None:
        return await connecting.known(services, who, row.uuid)
    made = await connecting.add(
        services, who, name=address, address=address, options={"sync": schedule(None)}, provider=provider, inbox=None
    )
    return await connecting.known(services, who, made["id"])


@router.post("/oauth-connection/oauth-exchange/google")
async def exchange_authorization_token(
    services: Services, who: Who, authorizationCode: Annotated[str, Query(max_length=logins.MAX_PASTED)],
    redirectUri: Annotated[str, Query(max_length=2000)],
) -> CreateOAuthExchangeResult:  # fmt: skip
    """End the login that this key began last with this redirect address."""
    who.need("connector_update")
    name, now = _login(who, redirectUri), services.clock()
    state = await services.db.write(lambda tx: short_notes.take(tx, _LOGIN, name, now))
    if state is None:
        return CreateOAuthExchangeResult(success=False, error=logins.NO_LOGIN)
    try:
        one = await logins.finish(services, who, authorizationCode, state)
    except GatewayError as error:
        return CreateOAuthExchangeResult(success=False, error=str(error))
    inbox = (await services.db.read(lambda rx: dto(rx, one.row))).inbox_id
    return CreateOAuthExchangeResult(success=True, inbox_id=inbox)
