"""TLS handshakes without sockets: a standard library client against either kind of server context."""

from __future__ import annotations

import contextlib
import ssl
import warnings
from collections.abc import Callable
from pathlib import Path

from OpenSSL import SSL

Step = Callable[[bytes], bytes]
"""Octets from the client -> octets to it."""


def client_context(ca: Path | None, *, maximum: ssl.TLSVersion | None = None, weak: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca) if ca else None)
    if ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if weak:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    if maximum is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the old versions are what is tested
            context.maximum_version = maximum
    return context


def stdlib_server(context: ssl.SSLContext) -> Step:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)

    def step(octets: bytes) -> bytes:
        incoming.write(octets)
        with contextlib.suppress(ssl.SSLError):  # it wants more, or the alert is on its way to the client
            server.do_handshake()
        return outgoing.read()

    return step


def openssl_server(context: SSL.Context) -> Step:
    server = SSL.Connection(context, None)
    server.set_accept_state()

    def step(octets: bytes) -> bytes:
        if octets:
            server.bio_write(octets)
        with contextlib.suppress(SSL.Error):  # it wants more, or the alert is on its way to the client
            server.do_handshake()
        try:
            return server.bio_read(1 << 20)
        except SSL.WantReadError:
            return b""

    return step


def handshake(server: Step, client: ssl.SSLContext, name: str = "localhost") -> ssl.SSLObject:
    """The client's side of a finished handshake; ssl.SSLError when it fails."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = client.wrap_bio(incoming, outgoing, server_hostname=name)
    for _ in range(10):
        try:
            connection.do_handshake()
        except ssl.SSLWantReadError:
            answer = server(outgoing.read())
            if not answer:
                raise ssl.SSLError("the server answers nothing") from None
            incoming.write(answer)
        else:
            server(outgoing.read())
            return connection
    raise AssertionError("a handshake has fewer steps")
