"""What OAuth 2 keeps: clients that a provider knows us as, what accounts have granted, and logins that are under way.

Columns that end in `_sealed` hold what `store.sealing` made, bound to the row's uuid; nothing else here is a secret.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Table, Text, text

from .columns import Big, Octets, counter, id_column, metadata

oauth_app = Table(
    "oauth_app",
    metadata,
    id_column(),
    Column("uuid", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False, unique=True),
    Column("provider", Text, nullable=False),
    Column("tenant", Text, nullable=False, server_default=text("''")),
    Column("client_id", Text, nullable=False),
    Column("secret_sealed", Octets),  # the client secret
    Column("key_sealed", Octets),  # a private key in PEM: of a certificate, or of a service account
    Column("key_name", Text, nullable=False, server_default=text("''")),  # by which the provider knows that key
    Column("endpoints", Text, nullable=False, server_default=text("'{}'")),  # JSON: a provider that we do not know
    Column("redirect", Text),  # NULL: a loopback address
    Column("status", Text, nullable=False, server_default=text("'ok'")),  # ok, misconfigured: all its grants wait
    Column("last_error", Text),
    Column("retry_at", Big),  # a misconfigured one may have been mended at the provider: asked again then
    counter("failures"),  # in a row
    Column("created_at", Big, nullable=False),
    Column("updated_at", Big, nullable=False),
    sqlite_autoincrement=True,
)

oauth_grant = Table(
    "oauth_grant",
    metadata,
    id_column(),
    Column("uuid", Text, nullable=False, unique=True),
    Column("app_id", Big, ForeignKey("oauth_app.id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),  # refresh, client_credentials, service_account
    Column("account", Text, nullable=False),  # the mailbox it is for
    Column("subject", Text, nullable=False),  # who has consented, as the provider says; '' where it does not
    Column("scopes", Text, nullable=False),  # joined by a blank
    Column("refresh_sealed", Octets),
    Column("access_sealed", Octets),
    Column("access_expires", Big),
    Column("refresh_at", Big),  # from then on a new one is asked for, before the old one ends
    counter("version", 1),  # rises with each change of tokens: who held an older one changes nothing
    Column("status", Text, nullable=False, server_default=text("'active'")),  # active, reauth_required
    Column("last_error", Text),
    Column("last_error_at", Big),
    counter("failures"),  # in a row, of kinds that pass
    counter("not_before"),  # nobody asks the provider before
    Column("refresh_owner", Text),  # who asks the provider just now …
    Column("refresh_until", Big),  # … and until when nobody else does
    Column("created_at", Big, nullable=False),
    Column("updated_at", Big, nullable=False),
    sqlite_autoincrement=True,
    postgresql_with={"fillfactor": 70},
)

oauth_login = Table(
    "oauth_login",
    metadata,
    Column("state_hash", Text, primary_key=True),  # SHA-256: whoever reads the store cannot end somebody's login
    Column("app_id", Big, ForeignKey("oauth_app.id"), nullable=False, index=True),
    Column("grant_id", Big),  # which grant it renews; NULL: a new one
    Column("account", Text, nullable=False),
    Column("identities", Text, nullable=False),  # JSON: who may consent for that account
    Column("scopes", Text, nullable=False),
    Column("redirect", Text, nullable=False),  # '' for a device code
    Column("verifier_sealed", Octets, nullable=False),  # PKCE's verifier, or the device code
    Column("nonce", Text, nullable=False),
    Column("created_at", Big, nullable=False),
    Column("expires_at", Big, nullable=False, index=True),
    sqlite_with_rowid=False,
)
"""Logins that somebody has begun: the browser may come back to another process."""

oauth_login_owner = Table(
    "oauth_login_owner",
    metadata,
    Column("state_hash", Text, primary_key=True),
    Column("key_id", Big, nullable=False),  # nobody else finishes it
    Column("connector", Text, nullable=False),  # UUID of what gets the grant
    Column("expires_at", Big, nullable=False, index=True),
    sqlite_with_rowid=False,
)
"""Beside `oauth_login`, of logins that were begun over HTTP."""
