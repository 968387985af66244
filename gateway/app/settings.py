"""The configuration's sections as each package's own settings: the one place where names meet."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

from gateway.auth.throttle import ThrottlePolicy
from gateway.config import Config, Listener, NamedRelay, Relay, Secret, host_port
from gateway.connectors.accounts import Reach
from gateway.connectors.plan.destination import DestinationLimits
from gateway.connectors.settings import ConnectorSettings
from gateway.delivery.routes import ANY, Route, RouteKind, RouteLimits, Routes, Rule, canonical_pattern
from gateway.delivery.schedule import Schedule
from gateway.delivery.settings import DeliverySettings
from gateway.imap.settings import ImapSettings
from gateway.maintain import trigrams
from gateway.maintain.settings import DAY, JanitorSettings
from gateway.model.errors import ConfigError, InvalidName
from gateway.model.rates import Rates
from gateway.ops import pki
from gateway.ops.tls import TlsFiles, TlsPolicy
from gateway.outbound import endpoint, login, proxy, tls
from gateway.smtp.settings import SmtpSettings
from gateway.store.db import StoreSettings
from gateway.store.master_key import GivenKeys, KeyFile, KeySource
from gateway.store.quota import Limits
from gateway.store.urls import parse_url
from gateway.submit.settings import SubmitSettings

from .datadir import MASTER_KEY


def imap_settings(config: Config) -> ImapSettings:
    limits = config.limits
    return ImapSettings(
        max_message_size=limits.max_message_size,
        handshake_timeout=limits.handshake_timeout,
        login_timeout=limits.login_timeout,
        idle_timeout=limits.imap_idle_timeout,
        keepalive=limits.imap_keepalive,
        write_timeout=limits.write_timeout,
        message_limit=config.imap.message_limit,
        compress=config.imap.compress,
        unauthenticate=config.imap.unauthenticate,
        server_comment=config.server.comment,
        server_admin=config.server.admin,
    )


def smtp_settings(config: Config, notice: str = "") -> SmtpSettings:
    limits = config.limits
    return SmtpSettings(
        notice=notice,
        hostname=config.server.hostname,
        max_message_size=limits.max_message_size,
        max_recipients=limits.recipients,
        session_s=limits.smtp_session,
        idle_s=limits.smtp_idle_timeout,
        login_s=limits.login_timeout,
        handshake_s=limits.handshake_timeout,
        future_release_s=limits.future_release,
    )


def submit_settings(config: Config) -> SubmitSettings:
    limits = config.limits
    return SubmitSettings(
        hostname=config.server.hostname,
        max_message_size=limits.max_message_size,
        same_mail_s=limits.same_mail,
        future_release_s=limits.future_release,
        inbox_rates=Rates(limits.inbox_per_hour, limits.inbox_per_day),
        key_rates=Rates(limits.key_per_hour, limits.key_per_day),
        max_recipients=limits.recipients,
        blocked=config.lists.blocked,
    )


def master_key(config: Config) -> KeySource:
    """Where the key is that seals stored passwords and tokens."""
    given = config.store.master_key
    if given:
        return GivenKeys(given.reveal, "store.master_key")
    return KeyFile(config.store.data_dir / MASTER_KEY)


def reach(config: Config) -> Reach:
    return Reach(config.server.hostname, config.limits.max_import_size)


def connector_settings(config: Config) -> ConnectorSettings:
    """The node's name is that of the data directory on this machine: one process at a time has it."""
    node = f"{socket.gethostname()}:{config.store.data_dir.absolute()}"
    given = config.connectors
    return ConnectorSettings(
        node=node,
        max_message=config.limits.max_import_size,
        destination=DestinationLimits(given.logins_per_minute, given.first_logins, given.host_connections),
        starting=given.starting,
        connectors=given.accounts,
    )


def store_settings(config: Config, *, serving: bool) -> StoreSettings:
    return StoreSettings(
        readers=config.store.readers,
        reader_processes=config.store.reader_processes if serving else 0,
        reader_modules=(
            *(("gateway.access.octets",) if any(listener.kind == "web" for listener in config.listener) else ()),
            "gateway.delivery.looking",
            "gateway.imap.fetch_page",
            "gateway.imap.mailbox_load",
            "gateway.imap.search_page",
            "gateway.imap.sort_page",
            "gateway.imap.url_render",
            "gateway.maintain.texts",
            "gateway.maintain.trigrams",
        ),
        job_seconds=config.store.reader_timeout,
        writers=config.store.writers,
        flag_sync_seconds=config.store.flag_sync / 1000,
    )


def trigram_path(config: Config) -> Path:
    """The trigram index, each node's own. ConfigError when the store itself is called so: the index may be removed."""
    path = config.store.data_dir / trigrams.NAME
    target = parse_url(config.database_url)
    if target.dialect == "sqlite" and target.path.resolve() == path.resolve():
        raise ConfigError(f"store.url: {path} is where the trigram index lies; give the database another name")
    return path


def throttle_policy(config: Config) -> ThrottlePolicy:
    auth = config.auth
    return ThrottlePolicy(
        per_minute=auth.failures_per_minute,
        per_day=auth.failures_per_day,
        first_delay=auth.first_delay,
        longest_delay=auth.longest_delay,
    )


def relay_endpoint(config: Config) -> endpoint.Endpoint | None:
    """The relay, or None when none is configured: then mail goes to inboxes here only."""
    relay = config.relay
    if not relay.host:
        return None
    who = login.RelayLogin(relay.user, relay.secret.reveal(), login.Mechanism(relay.mechanism))
    return endpoint.Endpoint(
        host=relay.host,
        port=relay.port,
        tls=tls.TlsPolicy(tls.Security(relay.security), relay.ca),
        login=who if relay.user else None,
        helo=config.server.hostname,
        allow_private=relay.allow_private,
        proxy=_proxy(relay),
    )


def _proxy(relay: Relay | NamedRelay) -> proxy.Proxy | None:
    """One in the own network is what most have, so that needs no leave; its address stands in the configuration."""
    return proxy.Proxy.of_url(relay.proxy, relay.proxy_secret.reveal(), allow_private=True) if relay.proxy else None


def named_relay(config: Config, relay: NamedRelay) -> Route:
    """One of [[relays]] with its hosts in order. ConfigError where the secret is withheld."""
    who = login.RelayLogin(relay.user, relay.secret.reveal(), login.Mechanism(relay.mechanism))
    hosts = [host_port(host, relay.port) for host in relay.hosts]
    endpoints = [
        endpoint.Endpoint(
            host=host,
            port=port,
            tls=tls.TlsPolicy(tls.Security(relay.security), relay.ca, relay.minimum_version),
            login=who if relay.user else None,
            helo=config.server.hostname,
            allow_private=relay.allow_private,
            proxy=_proxy(relay),
        )
        for host, port in hosts
    ]
    return Route.relay(relay.name, *endpoints, limits=RouteLimits(relay.connections, relay.rate))


def routes_without_logins(config: Config) -> Routes:
    """The same for who only looks: a command beside the service may not read its secrets. ConfigError."""
    relay = replace(config.relay, user="", secret=Secret(), proxy_secret=Secret())
    relays = tuple(replace(named, user="", secret=Secret(), proxy_secret=Secret()) for named in config.relays)
    return routes(replace(config, relay=relay, relays=relays))


def routes(config: Config) -> Routes:
    """Where mail for other domains goes: by rules, else to the relay, or nowhere. ConfigError."""
    relay = relay_endpoint(config)
    default = Route.relay("relay", relay) if relay is not None else None
    unnamed = (RouteKind.RELAY, RouteKind.RETURN)
    ways = {kind.value: Route(kind.value, kind) for kind in RouteKind if kind not in unnamed}
    ways |= {named.name: named_relay(config, named) for named in config.relays}
    if default is not None:
        ways["relay"] = default
    rules = []
    for number, rule in enumerate(config.route, 1):
        for sender, recipient in product(rule.from_ or (ANY,), rule.to or (ANY,)):
            try:
                rules.append(Rule(number, canonical_pattern(sender), canonical_pattern(recipient), ways[rule.via]))
            except InvalidName as error:
                raise ConfigError(f"route.{number - 1}: {sender} to {recipient}: {error}") from None
    return Routes(default, rules)


def delivery_settings(config: Config) -> DeliverySettings:
    return DeliverySettings(
        hostname=config.server.hostname,
        connections=config.queue.connections,
        per_destination=config.queue.per_destination,
        per_minute=config.queue.per_minute,
        schedule=Schedule(config.queue.first_retry, config.queue.longest_retry, config.queue.lifetime),
        delay_notice=config.queue.delay_notice,
        unknown_outcome=config.queue.unknown_outcome,
    )


def janitor_settings(config: Config) -> JanitorSettings:
    """0 days of retention mean for ever in the configuration."""
    retention = config.retention
    return JanitorSettings(
        content_seconds=retention.content,
        trash_days=retention.trash or None,
        spam_days=retention.spam or None,
        grace_seconds=retention.deleted_inbox * DAY,
        queue_history_seconds=retention.queue_history * DAY,
        same_mail_seconds=config.limits.same_mail,
        revoked_key_days=retention.revoked_keys or None,
        connector_event_seconds=retention.connector_events * DAY,
        audit_seconds=retention.audit * DAY,
        expunge_records=retention.expunge_records,
    )


def tls_policy(config: Config, listener: Listener) -> TlsPolicy:
    """What a listener accepts: its own values where it has them."""
    return TlsPolicy(
        listener.minimum_version or config.tls.minimum_version, listener.ciphers or config.tls.ciphers
    )


def tls_files(config: Config) -> TlsFiles:
    """The configured certificate, or the local CA's, which is made or renewed here when it must be.

    ConfigError when the directory cannot be written.
    """
    if config.tls.certificate is not None and config.tls.key is not None:
        return TlsFiles(config.tls.certificate, config.tls.key)
    made = pki.ensure(config.tls_dir, (config.server.hostname, *config.tls.hosts), datetime.now(UTC))
    return TlsFiles(made.server_file, made.server_file)


def ca_file(config: Config) -> Path | None:
    """What clients must trust: our own CA, the configured one, or None (a certificate that everybody trusts)."""
    if config.tls.certificate is None:
        return config.tls_dir / "ca.pem"
    return config.tls.ca


def quotas(config: Config) -> dict[str, int]:
    """Of a new inbox, as operations take them: 0 is no limit."""
    inbox = config.inbox
    return {
        "quota_storage": inbox.quota_storage,
        "quota_messages": inbox.quota_messages,
        "quota_mailboxes": inbox.quota_mailboxes,
    }


def inbox_limits(config: Config) -> Limits:
    """The same for the store."""
    inbox = config.inbox
    return Limits(inbox.quota_storage or None, inbox.quota_messages or None, inbox.quota_mailboxes or None)


def first_address(config: Config) -> str:
    """Address of the inbox that the first run makes."""
    return config.inbox.first or f"inbox@{config.server.hostname}"
