"""Mail that the client suites send, and what they look for."""

from __future__ import annotations

import uuid
from email.message import EmailMessage
from email.policy import SMTP

SUBJECT = "Grüße – 日本 & mehr"
ATTACHMENT = bytes(range(256)) * 5


def new_message(sender: str, recipient: str, subject: str = SUBJECT) -> EmailMessage:
    """A mail with a non-ASCII subject, a text with leading dots and a binary attachment."""
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = recipient
    message["Subject"] = subject
    message["Date"] = "Sat, 21 Nov 2026 10:00:00 +0000"
    message["Message-ID"] = f"<{uuid.uuid4()}@client.test>"
    message.set_content("Guten Tag,\n.\n..zwei Punkte\nZeile mit ü\n")
    message.add_attachment(ATTACHMENT, maintype="application", subtype="octet-stream", filename="daten.bin")
    return message
