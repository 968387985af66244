"""Submission (RFC 6409) over aiosmtpd: the protocol only. Whether a mail is accepted is `submit`'s decision."""
