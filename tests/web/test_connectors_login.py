"""OAuth logins of connectors over HTTP: a provider that checks them by itself, the real process, three keys."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.model.permissions import BUNDLES
from gateway.web.logins import NO_LOGIN
from tests.support.api import Api
from tests.support.gateway import Gateway
from tests.support.oauth import FakeProvider

Make = Callable[..., Api]
CALLBACK = "/oauth/callback"


@pytest.fixture
def connector(gateway: Gateway, api: Make, provider: FakeProvider) -> Iterator[dict[str, str]]:
    """Of the account that the provider's person has, switched off, and the one application of its provider."""
    client = api()
    made: dict[str, str] = client.post("/api/v1/connectors", {
        "name": uuid.uuid4().hex, "address": provider.email, "inbox": gateway.address, "enabled": False,
        "options": {"imap": {"host": "imap.example.test"}}, "provider": "custom",
    })  # fmt: skip
    yield made
    client.delete(f"/api/v1/connectors/{made['id']}")


def begin(client: Api, connector: dict[str, str], provider: FakeProvider) -> str:
    """Where the browser ends after the person has consented: a path of this server."""
    begun = client.post(f"/api/v1/connectors/{connector['id']}/login", {})
    assert begun["redirect"].endswith(CALLBACK)
    parts = urlsplit(provider.browse(begun["url"]))
    assert parts.path == CALLBACK
    return f"{parts.path}?{parts.query}"


def connected(client: Api, connector: dict[str, str]) -> bool:
    return bool(client.get(f"/api/v1/connectors/{connector['id']}")["oauth"])


def test_a_login_is_ended_by_who_began_it(
    gateway: Gateway, api: Make, connector: dict[str, str], provider: FakeProvider
) -> None:
    client = api()
    end = begin(client, connector, provider)
    second = gateway.operate("key.create", everything=True, name="second", permissions=list(BUNDLES))["key"]
    for stranger in (second, gateway.new_key("--inbox", gateway.address, "--permissions", "admin")):
        assert api(stranger).ask("GET", end).status == 404
        assert api(stranger).ask("POST", "/api/v1/oauth/finish", {"pasted": f"https://x{end}"}).code == "not_found"
    nobody = api("").ask("GET", f"{end}&x=%3Cscript%3E")
    assert (nobody.status, b"<script>" in nobody.body) == (200, False)
    assert not connected(client, connector)
    page = client.ask("GET", end)
    assert (page.status, b"Logged in" in page.body) == (200, True)
    assert connected(client, connector)
    assert client.ask("GET", end).status == 404  # once


def test_a_program_hands_in_the_address(
    api: Make, connector: dict[str, str], provider: FakeProvider
) -> None:
    client = api()
    end = begin(client, connector, provider)
    base = client.get("/api/v1/oauth/apps")["callback"].removesuffix(CALLBACK)
    shown = client.post("/api/v1/oauth/finish", {"pasted": base + end})
    assert (shown["id"], shown["oauth"]) == (connector["id"], True)
    for secret in provider.issued:
        assert secret not in str(shown)


def test_a_desktop_application_ends_elsewhere(
    api: Make, connector: dict[str, str], provider: FakeProvider
) -> None:
    client = api()
    begun = client.post(f"/api/v1/connectors/{connector['id']}/login", {"paste": True, "app": "app"})
    assert begun["redirect"].startswith("http://127.0.0.1")
    code = parse_qs(urlsplit(provider.browse(begun["url"])).query)["code"][0]
    assert client.ask("POST", "/api/v1/oauth/finish", {"pasted": code}).code == "not_found"
    assert client.post("/api/v1/oauth/finish", {"pasted": code, "state": begun["state"]})["oauth"]


def test_somebody_else_logged_in(api: Make, connector: dict[str, str], provider: FakeProvider) -> None:
    client, provider.email = api(), "bert@example.test"
    try:
        end = begin(client, connector, provider)
        refused = client.ask("GET", end)
        assert refused.status >= 400
        assert not connected(client, connector)
    finally:
        provider.email = "anna@example.test"


@pytest.mark.parametrize("query", ["", "?state=x&code=y", "?state=x&state=x", "?error=denied&state=%00"])
def test_addresses_that_are_none(api: Make, query: str) -> None:
    assert api().ask("GET", CALLBACK + query).status == 404
    assert api("").ask("GET", CALLBACK + query).status == 200  # a page that asks who it is


def test_applications_are_told_without_secrets(api: Make, connector: dict[str, str]) -> None:
    told = api().get("/api/v1/oauth/apps")
    assert [one["name"] for one in told["items"]] == ["app"]
    assert "the-client-secret" not in str(told)


def test_mailslurps_own_way(gateway: Gateway, api: Make) -> None:
    """Their two calls; only the second would go to the provider itself."""
    gateway.operate("oauth.app.create", name="g", provider="google", client_id="client.apps", secret="s")
    client = api()
    path, back = "/mailslurp/oauth-connection", "redirectBase=https://app.test/back"
    begun = client.post(f"{path}?{back}&oAuthConnectionType=GOOGLE&emailAddress=me@gmail.com")
    query = parse_qs(urlsplit(begun["url"]).query)
    assert (query["redirect_uri"], query["client_id"]) == (["https://app.test/back"], ["client.apps"])
    made = client.get("/mailslurp/connectors/by-email-address?emailAddress=me@gmail.com")
    assert made["present"]
    assert client.ask("POST", f"{path}?{back}&oAuthConnectionType=GOOGLE").code == "invalid"
    exchange = f"{path}/oauth-exchange/google?authorizationCode=x&redirectUri=https://other.test/"
    assert client.post(exchange)["error"] == NO_LOGIN
    right = exchange.replace("other.test/", "app.test/back")
    assert api(gateway.key).ask("POST", right).status == 403
    gateway.operate("oauth.app.remove", name="g")  # so that nothing is asked of the provider
    told = client.post(right)
    assert told["success"] is False
    assert told["error"] != NO_LOGIN
    assert client.post(right)["error"] == NO_LOGIN  # it was taken
