"""What is known of providers: ways, scopes, endpoints."""

from __future__ import annotations

import pytest

from gateway.model.errors import InvalidRequest
from gateway.oauth.providers import BOTH, GOOGLE, NAMES, Leg, Way, custom, microsoft, provider
from gateway.outbound.http import Reach, usable_url


@pytest.mark.parametrize("name", [name for name in NAMES if name != "custom"])
def test_each_provider_has_whole_endpoints(name: str) -> None:
    found = provider(name)
    for url in filter(None, (found.token_url, found.authorize_url, found.device_url)):
        usable_url(url)
    for way in Way:
        if way in found.ways:
            found.way(way)
        else:
            with pytest.raises(InvalidRequest, match=found.title):
                found.way(way)
    assert found.needs(BOTH)
    assert set(found.needs(frozenset({Leg.IMAP}))) <= set(found.needs(BOTH)) <= set(found.asks(BOTH))


def test_tenants_of_microsoft() -> None:
    assert "consumers" in microsoft("consumers").token_url
    with pytest.raises(InvalidRequest, match='the id of a tenant, not "common"'):
        microsoft().way(Way.CLIENT_CREDENTIALS)
    found = microsoft("contoso.test")
    found.way(Way.CLIENT_CREDENTIALS)
    assert found.own_scopes == "https://outlook.office365.com/.default"
    assert microsoft("us/contoso.test").authorize_url.startswith("https://login.microsoftonline.us/contoso.test/")
    for bad in ("", "a/b/c", "x y", "../x", "-x", "de/x", "a?b", "a#b", "ä"):
        with pytest.raises(InvalidRequest):
            microsoft(bad)


def test_scopes_that_were_not_granted() -> None:
    found = microsoft()
    needed = found.needs(BOTH)
    assert found.missing(needed, "") == (), "none said: all of them (RFC 6749 5.1)"
    assert found.missing(needed, "HTTPS://OUTLOOK.OFFICE365.COM/imap.accessasuser.all openid") == (needed[1],)
    assert found.missing(needed, " ".join(needed)) == ()
    assert GOOGLE.missing(GOOGLE.needs(BOTH), "openid email") == ("https://mail.google.com/",)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_private_is_reached_unless_it_is_said(name: str) -> None:
    given = {"token_url": "https://t.test/"} if name == "custom" else {}
    assert provider(name, endpoints=given).reach == Reach(allow_private=False, ca_pem=None)
    assert provider(name, endpoints={**given, "allow_private": "yes"}).reach == Reach(allow_private=True)
    for bad in ({"allow_private": "no"}, {"allow_private": "true"}, {"ca": "x"}, {"ca": "-----BEGIN CERTIFICATE-----"}):
        with pytest.raises(InvalidRequest):
            provider(name, endpoints={**given, **bad})


def test_a_provider_of_ones_own() -> None:
    found = custom(token_url="https://t.test/", authorize_url="https://a.test/", imap_scope="i", scopes="openid off")
    assert found.asks(BOTH) == ("i", "off", "openid")
    with pytest.raises(InvalidRequest, match="device"):
        found.way(Way.DEVICE)
    assert provider("google", endpoints={"token_url": "https://t.test/"}).token_url == "https://t.test/"
    for bad in ({"token_url": "http://t.test/"}, {"nonsense": "x"}, {"token_url": "https://u:p@t.test/"}):
        with pytest.raises(InvalidRequest):
            provider("google", endpoints=bad)
    with pytest.raises(InvalidRequest):
        provider("hotmale")
