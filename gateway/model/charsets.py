"""Charsets by the names that mail and clients give them: Python's codec for each, or none."""

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

NAMED: Final = (
    "US-ASCII", "UTF-8", "UTF-7", *(f"ISO-8859-{n}" for n in (*range(1, 12), *range(13, 17))),
    *(f"windows-{n}" for n in range(1250, 1259)), "KOI8-R", "KOI8-U", "macintosh", "Big5", "Big5-HKSCS", "GB2312",
    "GBK", "GB18030", "HZ-GB-2312", "Shift_JIS", "EUC-JP", "ISO-2022-JP", "EUC-KR", "ISO-2022-KR", "TIS-620", "IBM437",
    "IBM850", "IBM866",
)  # fmt: skip
"""The charsets a client is told of (RFC 3501 7.1 BADCHARSET), by their MIME names; aliases are known too."""


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
