from __future__ import annotations

import typing
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.app import settings
from gateway.config import (
    Config,
    ConfigError,
    Listener,
    NamedRelay,
    Queue,
    Relay,
    Retention,
    RouteRule,
    Secret,
    Server,
    Tls,
)
from gateway.delivery.ways import Ways
from gateway.outbound.proxy import Proxy, ProxyKind


def test_limits_reach_the_protocols() -> None:
    config = Config(server=Server(hostname="mail.example"))
    assert settings.imap_settings(config).max_message_size == config.limits.max_message_size
    smtp = settings.smtp_settings(config)
    assert (smtp.hostname, smtp.max_recipients) == ("mail.example", 50)
    assert settings.submit_settings(config).hostname == "mail.example"


def test_without_a_relay_no_domain_is_covered() -> None:
    assert settings.routes(Config()).find("ann@example.org", "eve@elsewhere.example") is None


@pytest.mark.parametrize("user", ["", "account"])
def test_a_relay_is_reached_as_configured(user: str) -> None:
    relay = Relay(host="relay.example", port=465, security="tls", user=user, secret=Secret("hunter2"))
    config = Config(relay=relay, server=Server(hostname="mail.example"))
    found = settings.routes(config).find("ann@mail.example", "eve@any.example")
    assert found is not None
    [endpoint] = found.route.endpoints
    assert found.rule is None
    assert (endpoint.host, endpoint.port, endpoint.helo) == ("relay.example", 465, "mail.example")
    assert endpoint.tls.security == "tls"
    assert (endpoint.login.user if endpoint.login else "") == user
    assert "hunter2" not in repr(found)


def test_relays_behind_proxies() -> None:
    """Whoever only looks, without the service's secrets, needs none of them."""
    config = Config(
        relay=Relay(host="a.example", proxy="socks5h://me@10.0.0.1:1080", proxy_secret=Secret("hunter2")),
        relays=(NamedRelay(name="b", hosts=("b.example",), proxy="http://proxy.example:3128"),),
        route=(RouteRule(to=("b.example",), via="b"),),
    )
    for table, secret in ((settings.routes(config), "hunter2"), (settings.routes_without_logins(config), "")):
        found = [table.find("ann@mail.example", to) for to in ("x@any.example", "x@b.example")]
        proxies = [each.route.endpoints[0].proxy for each in found if each is not None]
        assert proxies == [
            Proxy(ProxyKind.SOCKS5, "10.0.0.1", 1080, "me", secret, remote_names=True, allow_private=True),
            Proxy(ProxyKind.HTTP, "proxy.example", 3128, allow_private=True),
        ]
        assert "hunter2" not in repr(found)


def test_named_relays_and_rules_become_routes() -> None:
    config = Config(
        relay=Relay(host="relay.example"),
        relays=(
            NamedRelay(
                name="inside", hosts=("a.example", "b.example:26", "[2001:db8::1]:27", "2001:db8::2"), port=25,
                security="none", minimum_version="1.3", connections=3, rate=60,
            ),
        ),
        route=(RouteRule(to=("Inside.Example", ".bücher.example"), via="inside"), RouteRule(from_=("<>",), via="hold")),
    )  # fmt: skip
    routes = settings.routes(config)
    found = routes.find("ann@mail.example", "eve@INSIDE.example")
    assert found is not None
    assert found.rule is not None
    assert (found.route.name, found.rule.number, found.rule.recipient) == ("inside", 1, "inside.example")
    assert [(each.host, each.port) for each in found.route.endpoints] == [
        ("a.example", 25), ("b.example", 26), ("2001:db8::1", 27), ("2001:db8::2", 25),
    ]  # fmt: skip
    assert {(each.tls.security.value, each.tls.min_version) for each in found.route.endpoints} == {("none", "1.3")}
    assert (found.route.limits.connections, found.route.limits.per_minute) == (3, 60)
    assert Ways(routes).refusal(None, "", "eve@sub.xn--bcher-kva.example") is None
    assert [rule.route.kind for rule in routes.rules] == ["relay", "relay", "hold"]


def test_a_pattern_that_is_no_domain_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^route\.0: \* to a_\.-b: That is no domain name$"):
        settings.routes(Config(relay=Relay(host="h"), route=(RouteRule(to=("a_.-b",), via="relay"),)))


@pytest.mark.parametrize("name", typing.get_args(typing.get_type_hints(Relay)["mechanism"]))
def test_the_relays_mechanism_is_as_configured(name: str) -> None:
    relay = Relay(host="relay.example", user="account", secret=Secret("hunter2"), mechanism=name)  # type: ignore[arg-type]
    found = settings.relay_endpoint(Config(relay=relay))
    assert found is not None
    assert found.login is not None
    assert found.login.mechanism == name


def test_what_becomes_of_an_unknown_outcome_is_configured() -> None:
    assert settings.delivery_settings(Config()).unknown_outcome == "resend"
    assert settings.delivery_settings(Config(queue=Queue(unknown_outcome="hold"))).unknown_outcome == "hold"


def test_no_days_of_retention_mean_for_ever() -> None:
    assert settings.janitor_settings(Config()).trash_days is None
    assert settings.janitor_settings(Config()).revoked_key_days == 30
    assert settings.janitor_settings(Config(retention=Retention(revoked_keys=0))).revoked_key_days is None
    kept = settings.janitor_settings(Config(retention=Retention(trash=30, deleted_inbox=2)))
    assert (kept.trash_days, kept.grace_seconds) == (30, 2 * 86400)


def test_expunge_records_are_kept_as_configured() -> None:
    assert settings.janitor_settings(Config(retention=Retention(expunge_records=250))).expunge_records == 250


def test_a_listener_may_have_a_tls_policy_of_its_own() -> None:
    config = Config(tls=Tls(minimum_version="1.3"))
    assert settings.tls_policy(config, Listener()).minimum_version == "1.3"
    assert settings.tls_policy(config, Listener(minimum_version="1.0", ciphers="X")).minimum_version == "1.0"


def test_clients_trust_our_ca_or_the_configured_one_or_the_worlds() -> None:
    config = Config()
    assert settings.ca_file(config) == config.tls_dir / "ca.pem"
    own = replace(config, tls=Tls(certificate=Path("c.pem"), key=Path("k.pem")))
    assert settings.ca_file(own) is None
    assert settings.ca_file(replace(own, tls=replace(own.tls, ca=Path("ca.pem")))) == Path("ca.pem")


def test_the_first_address_comes_from_the_host_name() -> None:
    assert settings.first_address(Config()) == "inbox@localhost"
