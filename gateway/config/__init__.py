"""Configuration: TOML and environment -> frozen dataclasses that document themselves.

Packages do not import this: each has a settings class of its own, which `app` fills from `Config`.
"""

from gateway.fields.checks import host_port
from gateway.fields.setting import Secret
from gateway.model.errors import ConfigError

from .documents import Change, as_dict, changes, reloaded, render_example, render_manual, show
from .loader import Loaded, find, load
from .routing import NamedRelay, RouteRule
from .rules import encryption, plaintext_login
from .sections import (
    Config,
    InboxDefaults,
    Listener,
    Log,
    MetricsServer,
    Server,
    Store,
    Tls,
    TlsVersion,
)
from .sections_access import Auth, Limits, Search
from .sections_mail import Lists, Queue, Relay, Retention

__all__ = [
    "Auth", "Change", "Config", "ConfigError", "InboxDefaults", "Limits", "Listener", "Lists", "Loaded",
    "Log",
    "MetricsServer", "NamedRelay", "Queue", "Relay", "Retention", "RouteRule", "Search", "Secret", "Server",
    "Store", "Tls", "TlsVersion", "as_dict", "changes", "encryption", "find", "host_port", "load", "plaintext_login",
    "reloaded", "render_example", "render_manual", "show",
]
