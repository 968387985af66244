"""Octets in a named charset to text that is always valid Unicode. Never raises."""

from __future__ import annotations

import encodings
import pkgutil
import re
from encodings.aliases import aliases
from typing import Final

# Python's codecs that are no charsets of mail, or cost more than linear time, or read files of the machine.
_REFUSED: Final = frozenset(
    {"aliases", "base64_codec", "bz2_codec", "charmap", "hex_codec", "idna", "mbcs", "oem", "punycode", "quopri_codec",
     "raw_unicode_escape", "rot_13", "undefined", "unicode_escape", "uu_codec", "zlib_codec"}
)  # fmt: skip
# Names seen in mail that Python lacks, and old names whose successor is what senders really write (WHATWG Encoding).
_BETTER: Final = {
    "iso_8859_1": "cp1252", "iso8859_1": "cp1252", "latin_1": "cp1252", "latin1": "cp1252", "us_ascii": "utf_8",
    "ascii": "utf_8", "gb2312": "gb18030", "gbk": "gb18030", "cp936": "gb18030", "x_gbk": "gb18030",
    "ks_c_5601_1987": "cp949", "euc_kr": "cp949", "shift_jis": "cp932", "sjis": "cp932", "x_sjis": "cp932",
    "windows_31j": "cp932", "big5": "big5hkscs", "windows_874": "cp874", "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8", "unicode_1_1_utf_7": "utf_7", "x_mac_roman": "mac_roman",
    "macintosh": "mac_roman", "x_windows_1252": "cp1252", "cp_850": "cp850",
}  # fmt: skip
_SEPARATORS: Final = re.compile(r"[^a-z0-9]+")


def _table() -> dict[str, str]:
    modules = {module.name for module in pkgutil.iter_modules(encodings.__path__)} - _REFUSED
    table = {name: name for name in modules}
    table.update((alias, name) for alias, name in aliases.items() if name in modules)
    table.update(_BETTER)
    return table


# Own table: `codecs.lookup` keeps every unknown name it was ever asked for, and mail can name any.
_CODECS: Final = _table()


def codec_for(charset: bytes | str | None) -> str | None:
    """Python's name of a charset, None for one that is unknown. `*language` (RFC 2231 5) is dropped."""
    if charset is None:
        return None
    name = charset if isinstance(charset, str) else charset.decode("latin-1")
    return _CODECS.get(_SEPARATORS.sub("_", name[:80].partition("*")[0].lower()).strip("_"))


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
