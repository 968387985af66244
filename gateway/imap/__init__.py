"""The IMAP server: mailbox states that sessions share, the session's machine, its commands, the protocol."""
