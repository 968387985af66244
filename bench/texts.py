"""What real mail clients ask for."""

from __future__ import annotations

HEADER_FIELDS = (
    "From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To"
)
