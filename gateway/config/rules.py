"""Combinations that cannot work, each found before anything starts rather than by the first client."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from itertools import product
from typing import Final

from gateway.fields.checks import host_port

from .routing import TARGETS, NamedRelay
from .sections import Config, Listener
from .sections_mail import Relay

Problem = tuple[str, str]
"""(dotted key, reason)"""
Rule = Callable[[Config], Iterator[Problem]]


def is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _listeners_exist(config: Config) -> Iterator[Problem]:
    if not config.listener:
        yield "listener", "needs at least one listener"


def _plaintext_is_meant(config: Config) -> Iterator[Problem]:
    for number, listener in enumerate(config.listener):
        if listener.kind == "lmtp":
            if listener.allow_plaintext:
                yield f"listener.{number}.allow_plaintext", "has no meaning with kind = \"lmtp\": nobody logs in"
            continue
        if listener.security == "none" and not listener.allow_plaintext and not is_loopback(listener.address):
            yield (
                f"listener.{number}.security",
                "none would send keys readable over the network; bind 127.0.0.1, or set allow_plaintext = true",
            )
        if listener.security == "tls" and listener.allow_plaintext:
            yield f"listener.{number}.allow_plaintext", "has no meaning with security = \"tls\""
        elif listener.allow_plaintext and not listener.networks and not is_loopback(listener.address):
            yield f"listener.{number}.networks", "is missing; allow_plaintext is for devices in networks that are named"


def _lmtp_is_for_servers(config: Config) -> Iterator[Problem]:
    paths: set[str] = set()
    for number, listener in enumerate(config.listener):
        key = f"listener.{number}"
        if listener.kind != "lmtp":
            if listener.path:
                yield f"{key}.path", "is for kind = \"lmtp\" only"
            continue
        if listener.path and (listener.networks or listener.proxy_networks):
            other = "networks" if listener.networks else "proxy_networks"
            yield f"{key}.{other}", "has no meaning with path"
        if not listener.path and not listener.socket and not listener.networks:
            yield f"{key}.networks", "is missing; without a login, who may hand mail on must be named (or set path)"
        if not listener.path and not listener.socket and listener.port == 25:
            yield f"{key}.port", "25 is SMTP's, LMTP must not be there (RFC 2033 5)"
        if listener.path and listener.path in paths:
            yield f"{key}.path", f"{listener.path} is already used by another listener"
        paths.add(listener.path)


def _web_has_no_starttls(config: Config) -> Iterator[Problem]:
    for number, listener in enumerate(config.listener):
        if listener.kind == "web" and listener.security == "starttls":
            yield f"listener.{number}.security", "is tls or none with kind = \"web\": HTTP has no STARTTLS"


def _ports_are_free(config: Config) -> Iterator[Problem]:
    taken: dict[tuple[str, int], str] = {}
    places = [(f"listener.{number}.port", listener.address, listener.port)
              for number, listener in enumerate(config.listener) if not listener.socket and not listener.path]
    if config.metrics.enabled:
        places.append(("metrics.port", config.metrics.address, config.metrics.port))
    for key, address, port in places:
        if port == 0:  # the system picks a free one
            continue
        wildcard = "::" if ":" in address else "0.0.0.0"  # noqa: S104 - compared, not bound
        clash = taken.get((address, port)) or taken.get((wildcard, port))
        if clash is None and address == wildcard:
            clash = next((other for (known, number), other in taken.items()
                          if number == port and (":" in known) == (":" in address)), None)
        if clash is not None:
            yield key, f"{address} port {port} is already used by {clash}"
        taken[address, port] = key


def _sockets_differ(config: Config) -> Iterator[Problem]:
    seen: set[str] = set()
    for number, listener in enumerate(config.listener):
        if listener.socket and listener.socket in seen:
            yield f"listener.{number}.socket", f"\"{listener.socket}\" is already used by another listener"
        seen.add(listener.socket)


def _versions_of_listeners(config: Config) -> Iterator[Problem]:
    for number, listener in enumerate(config.listener):
        if listener.security == "none" and (listener.minimum_version or listener.ciphers):
            key = "minimum_version" if listener.minimum_version else "ciphers"
            yield f"listener.{number}.{key}", "has no meaning with security = \"none\""


def _certificate_has_key(config: Config) -> Iterator[Problem]:
    if config.tls.certificate and not config.tls.key:
        yield "tls.key", "is missing; tls.certificate needs it (both may name the same file)"
    if config.tls.key and not config.tls.certificate:
        yield "tls.certificate", "is missing; tls.key needs it"


def _relay_is_whole(config: Config) -> Iterator[Problem]:
    relay = config.relay
    if relay.user and not relay.host:
        yield "relay.host", "is missing; relay.user needs it"
    yield from _login_is_whole("relay", relay, (relay.host,))


def _login_is_whole(key: str, relay: Relay | NamedRelay, hosts: tuple[str, ...]) -> Iterator[Problem]:
    if relay.user and not relay.secret:
        yield f"{key}.secret", f"is missing; {key}.user needs it"
    if relay.proxy_secret and not relay.proxy:
        yield f"{key}.proxy", f"is missing; {key}.proxy_secret is for it"
    if relay.secret and not relay.user:
        yield f"{key}.user", f"is missing; {key}.secret needs it"
    if relay.security == "none" and relay.secret and not {"localhost", "127.0.0.1", "::1"}.issuperset(hosts):
        yield f"{key}.security", "none would send the relay's password readable over the network"
    if relay.mechanism != "auto" and not relay.user:
        yield f"{key}.user", f"is missing; {key}.mechanism needs it"
    if relay.security == "none" and relay.mechanism in {"plain", "login", "xoauth2", "oauthbearer"}:
        yield f"{key}.mechanism", f"{relay.mechanism} shows the secret, so it is used under TLS only"


def _named_relays_are_whole(config: Config) -> Iterator[Problem]:
    names: set[str] = set()
    for number, relay in enumerate(config.relays):
        key = f"relays.{number}"
        if not relay.name:
            yield f"{key}.name", "is missing; routes need it"
        if relay.name in TARGETS:
            yield f"{key}.name", f'"{relay.name}" has a meaning of its own in routes'
        if relay.name in names:
            yield f"{key}.name", f'"{relay.name}" is already the name of another relay'
        names.add(relay.name)
        if not relay.hosts:
            yield f"{key}.hosts", "needs at least one host"
        yield from _login_is_whole(key, relay, tuple(host_port(host, relay.port)[0] for host in relay.hosts))


def _routes_lead_somewhere(config: Config) -> Iterator[Problem]:
    names = {relay.name for relay in config.relays}
    taken: dict[tuple[str, str], int] = {}
    for number, rule in enumerate(config.route):
        key = f"route.{number}"
        if not rule.via:
            yield f"{key}.via", "is missing; a rule without a way says nothing"
        elif rule.via not in names and rule.via not in TARGETS:
            known = ", ".join(f'"{name}"' for name in (*sorted(names), *TARGETS))
            yield f"{key}.via", f'there is no relay "{rule.via}"; it may be one of {known}'
        if rule.via == "relay" and not config.relay.host:
            yield f"{key}.via", 'there is no "relay": section [relay] has no host'
        if "<>" in rule.to:
            yield f"{key}.to", '"<>" is no recipient'
        for sender, recipient in product(rule.from_ or ("*",), rule.to or ("*",)):
            said = (sender.lower(), recipient.lower())
            if (before := taken.setdefault(said, number)) != number:
                yield f"{key}", f"route.{before} is already for mail from {sender} to {recipient}"


def _sizes_are_ordered(config: Config) -> Iterator[Problem]:
    if config.limits.max_import_size < config.limits.max_message_size:
        yield "limits.max_import_size", "must be limits.max_message_size at least"


def _delays_are_ordered(config: Config) -> Iterator[Problem]:
    if config.auth.failures_per_day < config.auth.failures_per_minute:
        yield "auth.failures_per_day", "must be auth.failures_per_minute at least"
    if config.auth.longest_delay < config.auth.first_delay:
        yield "auth.longest_delay", "must be auth.first_delay at least"
    if config.queue.longest_retry < config.queue.first_retry:
        yield "queue.longest_retry", "must be queue.first_retry at least"
    if config.queue.lifetime < config.queue.first_retry:
        yield "queue.lifetime", "must be queue.first_retry at least"


def _keepalive_is_shorter(config: Config) -> Iterator[Problem]:
    if config.limits.imap_keepalive >= config.limits.imap_idle_timeout:
        yield "limits.imap_keepalive", "must be shorter than limits.imap_idle_timeout"


RULES: Final[tuple[Rule, ...]] = (
    _listeners_exist,
    _plaintext_is_meant,
    _lmtp_is_for_servers,
    _web_has_no_starttls,
    _ports_are_free,
    _sockets_differ,
    _versions_of_listeners,
    _certificate_has_key,
    _relay_is_whole,
    _named_relays_are_whole,
    _routes_lead_somewhere,
    _sizes_are_ordered,
    _delays_are_ordered,
    _keepalive_is_shorter,
)


def problems(config: Config) -> Iterator[Problem]:
    """Every broken rule, in the order of RULES."""
    for rule in RULES:
        yield from rule(config)


def encryption(listener: Listener) -> str:
    """`security`, but a Unix socket has none."""
    return "none" if listener.path else listener.security


def plaintext_login(listener: Listener) -> bool:
    """Whether a client may log in on this listener before TLS: asked for, or a proxy on this machine did the TLS."""
    return listener.allow_plaintext or (listener.security == "none" and is_loopback(listener.address))
