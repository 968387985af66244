"""`gateway doctor`: is everything as it should be, and if not, what to do about it."""

from .checks import check_certificate, check_configuration, check_ports
from .connectors import check_connectors
from .dns import check_dns
from .findings import Finding, Level
from .mail import check_mail
from .relay import check_relay
from .search import check_trigrams

__all__ = [
    "Finding", "Level", "check_certificate", "check_configuration", "check_connectors", "check_dns", "check_mail",
    "check_ports", "check_relay", "check_trigrams",
]
