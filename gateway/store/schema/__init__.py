"""The tables of the store: this metadata is the truth, migrations lead to it, a test compares the two."""

from . import contents, mail, sending, tenants
from .columns import metadata

__all__ = ["contents", "mail", "metadata", "sending", "tenants"]
