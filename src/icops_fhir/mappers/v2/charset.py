"""Which characters the bytes of a message are: the bytes win, then MSH-18, else the site's.

HL7 table 0211; HL7 v2.5.1 §2.15.9.18. Senders that declare 8859/1 and write UTF-8 are common, the
reverse is practically impossible, so bytes that are valid UTF-8 are UTF-8.
"""

from __future__ import annotations

import re

HL70211 = {
    "ASCII": "cp1252", "8859/1": "cp1252", "8859/2": "iso8859-2", "8859/3": "iso8859-3", "8859/4": "iso8859-4",
    "8859/5": "iso8859-5", "8859/6": "iso8859-6", "8859/7": "iso8859-7", "8859/8": "iso8859-8", "8859/9": "iso8859-9",
    "8859/15": "iso8859-15", "UNICODE UTF-8": "utf-8", "UTF-8": "utf-8", "UNICODE": "utf-8",
    "UNICODE UTF-16": "utf-16", "ISO IR87": "iso2022_jp_2", "ISO IR6": "cp1252", "GB 18030-2000": "gb18030", "BIG-5": "big5",
    "KS X 1001": "euc_kr",
}  # fmt: skip

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_HEADER = re.compile(rb"(?:MSH|FHS|BHS)([^\r\n])")


def _declared(raw: bytes) -> list[str]:
    """The labels of MSH-18, last repetition first, read before the charset is known."""
    found = _HEADER.search(raw)
    if not found:
        return []
    line = re.split(rb"[\r\n]", raw[found.start() :], maxsplit=1)[0].split(found[1])
    repetition = line[1][1:2] or b"~" if len(line) > 1 else b"~"
    labels = line[17].split(repetition) if len(line) > 17 else []
    return [label.decode("latin-1").strip().upper() for label in reversed(labels) if label.strip()]


def decode(raw: bytes, site_charset: str = "8859/15") -> tuple[str, str]:
    """Bytes of a message -> (text, Python codec that gives the bytes back)."""
    for bom, codec in _BOMS:
        if raw.startswith(bom):
            return raw[len(bom) :].decode(codec, "surrogateescape" if codec == "utf-8" else "replace"), codec
    if raw.isascii():
        if b"\x1b$" not in raw:
            return raw.decode("ascii"), "ascii"
        try:
            return raw.decode("iso2022_jp_2"), "iso2022_jp_2"
        except UnicodeDecodeError:
            return raw.decode("ascii"), "ascii"
    for codec in ("utf-8", *(HL70211[label] for label in (*_declared(raw), site_charset) if label in HL70211), "cp1252"):
        if codec in ("utf-16", "ascii"):
            continue
        try:
            return raw.decode(codec), codec
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1"), "latin-1"


def encode(text: str, codec: str) -> tuple[bytes, str]:
    """Text -> (bytes, codec used): the codec asked, or UTF-8 where it lacks a character."""
    try:
        return text.encode(codec), codec
    except (UnicodeEncodeError, LookupError):
        return text.encode("utf-8", "surrogatepass"), "utf-8"


def label(codec: str) -> str:
    """The HL7 table 0211 label of a Python codec, for MSH-18."""
    return next((name for name, known in HL70211.items() if known == codec and name != "ASCII"), "UNICODE UTF-8")
