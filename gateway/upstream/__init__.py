"""The IMAP client: what a connector says to the account that it keeps in sync, and what it hears from there."""
