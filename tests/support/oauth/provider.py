"""The provider's side of RFC 6749, 7636 and 8628, written from the RFCs and not from our client: another witness.

It speaks just enough HTTP by itself, so that it can also break off, stall, flood, redirect and lie.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from gateway.ops import pki

ISSUER = "https://issuer.test"


@dataclass
class Answer:
    """What the next request gets instead of the truth. `raw`: these octets, then the end of the connection."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    chunks: int = 0
    """So many pieces of 64 KiB, whatever the body is."""
    stall: bool = False
    """Say nothing until the provider stops."""
    hold: asyncio.Event | None = None
    """Wait for that first."""
    after: bool = False
    """Do first what was asked, so that tokens are rotated, and then answer this."""


@dataclass(frozen=True)
class Seen:
    path: str
    form: dict[str, str]
    headers: dict[str, str]


@dataclass
class _Grant:
    email: str
    scope: str
    client_id: str
    family: str


@dataclass
class _Code:
    challenge: str
    redirect: str
    nonce: str
    grant: _Grant


class FakeProvider:
    """`async with FakeProvider(directory) as provider`."""

    def __init__(self, directory: Path) -> None:
        self._files = pki.ensure(directory, [], datetime.now(UTC))
        self.ca_file = self._files.ca_file
        self.clients: dict[str, str] = {"client": "the-client-secret"}
        self.keys: dict[str, rsa.RSAPublicKey] = {}
        """Of clients that prove themselves by an assertion."""
        self.clock: Callable[[], float] = time.time
        self.rotates = True
        self.strict = True
        """A refresh token that was replaced ends its whole family when it is used again (RFC 9700 4.14.2)."""
        self.lasts: Any = 3600
        self.email = "anna@example.test"
        self.granted: str | None = None
        """What people consent to; None: all that was asked."""
        self.offline = True
        self.script: deque[Answer] = deque()
        self.seen: list[Seen] = []
        self.issued: list[str] = []
        """Access tokens, the newest last."""
        self.gate = asyncio.Event()
        """While it is not set, answers of the token endpoint wait."""
        self.gate.set()
        self.arrived = asyncio.Event()
        """Set by each request to the token endpoint."""
        self.refresh: dict[str, _Grant] = {}
        self._used: dict[str, _Grant] = {}
        self._codes: dict[str, _Code] = {}
        self._devices: dict[str, list[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stalled = asyncio.Event()
        self.port = 0

    async def __aenter__(self) -> FakeProvider:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._files.server_file)
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._stalled.set()
        self.gate.set()
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def url(self, path: str) -> str:
        return f"https://localhost:{self.port}{path}"

    @property
    def endpoints(self) -> dict[str, str]:
        return {
            "token_url": self.url("/token"), "authorize_url": self.url("/authorize"), "device_url": self.url("/device"),
            "issuer": ISSUER,
        }  # fmt: skip

    @property
    def refreshes(self) -> int:
        return sum(seen.form.get("grant_type") == "refresh_token" for seen in self.seen)

    def browse(self, url: str, *, client_id: str = "client") -> str:
        """What a browser does with the login page: somebody consents, and it is sent back. The address it ends at."""
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == self.url("/authorize")
        query = dict(parse_qsl(parts.query, strict_parsing=True))
        assert query["response_type"] == "code"
        assert query["client_id"] == client_id
        assert query["code_challenge_method"] == "S256"
        assert len(query["state"]) >= 32
        code = secrets.token_urlsafe(24)
        grant = _Grant(self.email, query["scope"] if self.granted is None else self.granted, client_id, code)
        self._codes[code] = _Code(query["code_challenge"], query["redirect_uri"], query.get("nonce", ""), grant)
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def type_code(self, user_code: str) -> None:
        """Somebody types a device code and consents."""
        for device in self._devices.values():
            if device[0] == user_code:
                device[1] = True

    def revoke(self) -> None:
        """Somebody withdraws all consent."""
        self.refresh.clear()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            line, *fields = head.rstrip("\r\n").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in fields)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            form = {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
            path = line.split(" ")[1]
            self.seen.append(Seen(path, form, headers))
            self.arrived.set()
            await self.gate.wait()
            await self._answer(writer, path, form)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, path: str, form: dict[str, str]) -> None:
        planned = self.script.popleft() if self.script else None
        if planned is None and path.startswith("/authorize?"):
            planned = self._page(path)
        status, values = (0, None) if planned is not None and not planned.after else self._truth(path, form)
        if planned is None:
            planned = Answer(status, values)
        if planned.hold is not None:
            await planned.hold.wait()
        if planned.stall:
            await self._stalled.wait()
        if planned.raw is not None:
            writer.write(planned.raw)
            await writer.drain()
            return
        body = planned.body if isinstance(planned.body, bytes) else json.dumps(planned.body).encode()
        head = {"Content-Type": "application/json", "Cache-Control": "no-store", **planned.headers}
        if not planned.chunks:
            head["Content-Length"] = str(len(body))
        text = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        writer.write(f"HTTP/1.1 {planned.status} Said\r\n{text}Connection: close\r\n\r\n".encode() + body)
        for _ in range(planned.chunks):
            writer.write(b"x" * 65_536)
            await writer.drain()
        await writer.drain()

    def _page(self, path: str) -> Answer:
        """Where a person consents: a link that leads back."""
        back = self.browse(self.url(path)).replace("&", "&amp;")
        head = '<!doctype html><title>Provider</title><link rel="icon" href="data:,">'
        text = f'{head}<h1>May it?</h1><a href="{back}">Allow</a>'
        return Answer(200, text.encode(), {"Content-Type": "text/html; charset=utf-8"})

    def _truth(self, path: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if path == "/device":
            return self._device(form)
        if path != "/token":
            return 404, {"error": "not_found"}
        kind = form.get("grant_type", "")
        if kind == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return self._service_account(form["assertion"])
        client = form.get("client_id", "")
        if not self._is_client(client, form):
            return 401, {"error": "invalid_client", "error_description": f"Wrong {form.get('client_secret', '')}"}
        if kind == "authorization_code":
            return self._exchange(form)
        if kind == "refresh_token":
            return self._refresh(form["refresh_token"])
        if kind == "client_credentials":
            return 200, self._tokens(None, form.get("scope", ""), "")
        if kind == "urn:ietf:params:oauth:grant-type:device_code":
            return self._device_tokens(form.get("device_code", ""), client)
        return 400, {"error": "unsupported_grant_type"}

    def _is_client(self, client: str, form: dict[str, str]) -> bool:
        if "client_assertion" in form:
            claims = self._verified(form["client_assertion"], client)
            return (
                form.get("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
                and claims is not None and claims["aud"] == self.url("/token") and claims["sub"] == client
                and claims["exp"] > self.clock() >= claims["nbf"]
            )  # fmt: skip
        return client in self.clients and form.get("client_secret", "") == self.clients[client]

    def _verified(self, token: str, issuer: str) -> dict[str, Any] | None:
        head, body, signature = token.split(".")
        header = json.loads(_unbase64(head))
        key = self.keys.get(issuer)
        if key is None or header["alg"] != "RS256":
            return None
        key.verify(_unbase64(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
        claims: dict[str, Any] = json.loads(_unbase64(body))
        return {**claims, "header": header} if claims["iss"] == issuer else None

    def _exchange(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        found = self._codes.pop(form.get("code", ""), None)
        made = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if found is None or made.decode().rstrip("=") != found.challenge or form["redirect_uri"] != found.redirect:
            return 400, {"error": "invalid_grant", "error_description": "bad code or verifier"}
        return 200, self._tokens(found.grant, found.grant.scope, found.nonce)

    def _refresh(self, token: str) -> tuple[int, dict[str, Any]]:
        grant = self.refresh.get(token)
        if grant is None:
            if self.strict and token in self._used:
                family = self._used[token].family
                self.refresh = {name: each for name, each in self.refresh.items() if each.family != family}
            return 400, {"error": "invalid_grant", "error_description": f"{token} has been expired or revoked."}
        if self.rotates:
            del self.refresh[token]
            self._used[token] = grant
        values = self._tokens(grant, grant.scope, "")
        if not self.rotates:
            values.pop("refresh_token")
        return 200, values

    def _device(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        device, user = secrets.token_urlsafe(24), secrets.token_hex(4).upper()
        self._devices[device] = [user, False, form.get("scope", "")]
        return 200, {
            "device_code": device, "user_code": user, "verification_uri": self.url("/login"), "expires_in": "900",
            "interval": 5,
        }  # fmt: skip

    def _device_tokens(self, device: str, client: str) -> tuple[int, dict[str, Any]]:
        found = self._devices.get(device)
        if found is None:
            return 400, {"error": "bad_verification_code"}
        if not found[1]:
            return 400, {"error": "authorization_pending", "error_description": "not yet"}
        del self._devices[device]
        return 200, self._tokens(_Grant(self.email, found[2], client, device), found[2], "")

    def _service_account(self, assertion: str) -> tuple[int, dict[str, Any]]:
        body = json.loads(_unbase64(assertion.split(".")[1]))
        claims = self._verified(assertion, body["iss"])
        if claims is None or claims["aud"] != self.url("/token") or not claims["exp"] - claims["iat"] <= 3600:
            return 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        if claims["sub"] != self.email:
            return 400, {"error": "invalid_grant", "error_description": "Invalid email or User ID"}
        return 200, self._tokens(None, "", "")

    def _tokens(self, grant: _Grant | None, scope: str, nonce: str) -> dict[str, Any]:
        access = f"access-{secrets.token_urlsafe(24)}"
        self.issued.append(access)
        values: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "expires_in": self.lasts}
        if scope:
            values["scope"] = scope
        if grant is None:
            return values
        if self.offline:
            refresh = f"refresh-{secrets.token_urlsafe(24)}"
            self.refresh[refresh] = grant
            values["refresh_token"] = refresh
        if "openid" in scope.split():
            values["id_token"] = id_token(
                {"iss": ISSUER, "aud": grant.client_id, "exp": self.clock() + 600, "email": grant.email,
                 "email_verified": True, **({"nonce": nonce} if nonce else {})}
            )  # fmt: skip
        return values


def id_token(claims: Mapping[str, Any]) -> str:
    """Unsigned: what comes from the token endpoint over TLS is not verified by its signature."""
    parts = [{"alg": "RS256"}, dict(claims)]
    return ".".join([*(_base64(json.dumps(part).encode()) for part in parts), _base64(b"signature")])


def rsa_key() -> tuple[str, rsa.RSAPublicKey]:
    """(PEM, its public half)"""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode(), key.public_key()


def _base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
