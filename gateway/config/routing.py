"""The settings of relays beside the default one, and the rules that say which mail goes where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from gateway.fields.checks import are_host_ports, are_patterns, is_name, is_proxy
from gateway.fields.setting import Secret, Setting

TARGETS: Final = ("relay", "local", "connector", "hold", "discard")
"""What a rule may name beside the relays of the file; none of those may be called so."""
_NO_SECRET: Final = Secret()


@dataclass(frozen=True, slots=True)
class NamedRelay:
    """A further relay, used by the rules that name it; repeat the table for each.

    Settings that [relay] has too mean the same here.
    """

    name: Annotated[str, Setting("What rules, logs and the queue call it.", check=is_name, reloadable=True)] = ""
    hosts: Annotated[
        tuple[str, ...],
        Setting(
            'Its servers, the preferred one first, as "host" or "host:port"; the next one is tried when one cannot be '
            "reached or turns us away.",
            check=are_host_ports, reloadable=True,
        ),
    ] = ()
    port: Annotated[int, Setting("Port of hosts that name none.", low=1, high=65535, reloadable=True)] = 587
    security: Annotated[
        Literal["tls", "starttls", "none"],
        Setting("How the connection is encrypted; certificate and name are verified.", reloadable=True),
    ] = "starttls"
    minimum_version: Annotated[
        Literal["1.2", "1.3"], Setting("Lowest TLS version that the relay may choose.", reloadable=True)
    ] = "1.2"
    ca: Annotated[
        Path | None, Setting("PEM file of the CA of the relay instead of the system's.", reloadable=True)
    ] = None
    user: Annotated[str, Setting("User name at the relay; empty: no login.", reloadable=True)] = ""
    secret: Annotated[Secret, Setting("Password at the relay.", secret=True, reloadable=True)] = _NO_SECRET
    mechanism: Annotated[
        Literal["auto", "plain", "login", "cram-md5", "xoauth2", "oauthbearer"],
        Setting("How to log in.", reloadable=True),
    ] = "auto"
    allow_private: Annotated[
        bool, Setting("Allow hosts in a private network or on this machine.", reloadable=True)
    ] = False
    proxy: Annotated[
        str, Setting("Way out: socks5://user@host:port or http://user@host:port.", check=is_proxy, reloadable=True)
    ] = ""
    proxy_secret: Annotated[Secret, Setting("Password at the proxy.", secret=True, reloadable=True)] = _NO_SECRET
    connections: Annotated[
        int,
        Setting("Connections to it at the same time; 0: queue.per_destination.", low=0, high=1000, reloadable=True),
    ] = 0
    rate: Annotated[
        int,
        Setting("Messages that it is handed at most; 0: no limit.", unit="a minute", low=0, high=1_000_000,
                reloadable=True),
    ] = 0


@dataclass(frozen=True, slots=True)
class RouteRule:
    """Which way mail goes that leaves this server; repeat the table for each rule.

    The narrowest rule wins, wherever it stands: the recipient's side is compared first, then the sender's. Mail that no
    rule is for goes to [relay]. gateway queue route FROM TO shows the way of two addresses.
    """

    from_: Annotated[
        tuple[str, ...],
        Setting(
            'Whose mail: addresses, domains, ".example.org" for all below it, "<>" for mail without a return address; '
            "empty: everybody's.",
            check=are_patterns, reloadable=True,
        ),
    ] = ()
    to: Annotated[
        tuple[str, ...],
        Setting('For whom: addresses, domains, ".example.org"; empty: everybody.', check=are_patterns, reloadable=True),
    ] = ()
    via: Annotated[
        str,
        Setting(
            'Name of a relay; or "relay": the one of [relay]; "local": inboxes here only, all else is refused; '
            '"connector": the account that the inbox is connected with; "hold": it waits for gateway queue release; '
            '"discard": it is taken and thrown away.',
            reloadable=True,
        ),
    ] = ""
