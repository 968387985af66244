"""The tables of the store: this metadata is the truth, migrations lead to it, a test compares the two."""

from . import access, connectors, contents, mail, oauth, people, sending, tenants, web, webhooks
from .columns import metadata

__all__ = [
    "access", "connectors", "contents", "mail", "metadata", "oauth", "people", "sending", "tenants", "web", "webhooks",
]
