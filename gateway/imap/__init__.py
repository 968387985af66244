"""The IMAP server: mailbox states shared by sessions, the session's machine, one module a command family, the protocol."""
