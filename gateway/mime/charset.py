"""Octets in a named charset to text that is always valid Unicode. Never raises."""

from __future__ import annotations

from gateway.model.charsets import codec_for


def to_text(octets: bytes, charset: bytes | str | None) -> str:
    """Decode; what does not fit becomes U+FFFD. Without a known charset: UTF-8 if it is, else Windows-1252."""
    codec = codec_for(charset)
    if codec is None or codec == "utf_8":
        try:
            return octets.decode("utf-8")
        except UnicodeDecodeError:
            # A declared UTF-8 keeps what is right in it; us-ascii with 8-bit octets tells nothing about them.
            if codec is not None and charset is not None and b"8" in _name(charset):
                return octets.decode("utf-8", "replace")
            return octets.decode("cp1252", "replace")
    try:
        text = octets.decode(codec, "replace")
    except (UnicodeError, ValueError, LookupError, OverflowError):
        return octets.decode("cp1252", "replace")
    if codec == "utf_7" or codec.startswith(("utf_16", "utf_32")):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # UTF-7 can yield lone surrogates
    return text


def _name(charset: bytes | str) -> bytes:
    return charset.encode("utf-8", "replace") if isinstance(charset, str) else charset
