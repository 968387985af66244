"""A standalone IMAP/SMTP gateway; see docs/architecture.md for the map of the packages."""

__version__ = "0.1.0"
