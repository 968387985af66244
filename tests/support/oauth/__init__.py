"""A provider of OAuth 2 on loopback, with TLS of the tests' CA, that can do all that real ones do wrong."""

from .provider import Answer, FakeProvider, Seen

__all__ = ["Answer", "FakeProvider", "Seen"]
