"""Side-by-side measurements against Dovecot and Postfix: same client, TLS, data and durability, in one run."""
