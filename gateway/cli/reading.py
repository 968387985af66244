"""One message for a person: its main fields and its text."""

from __future__ import annotations

from typing import Any, BinaryIO, Final

from gateway import mime
from gateway.control.frames import Frame
from gateway.mime import PartNode
from gateway.model.body import PartKind
from gateway.model.flags import names_of
from gateway.model.moments import rfc3339

from .runtime import Runtime

_SHOWN: Final = ("from", "to", "cc", "subject", "date")


def read_message(
    runtime: Runtime, inbox: str, mailbox: str, uid: int, sink: BinaryIO | None
) -> dict[str, Any] | None:
    """The message as a dict, None when it is not there. With a `sink` its octets go there and the dict has none."""
    head: dict[str, Any] = {}
    pieces: list[bytes] = []

    async def take(frame: Frame) -> None:
        if isinstance(frame, bytes):
            if sink is not None:
                sink.write(frame)
            else:
                pieces.append(frame)
        elif "message" in frame:
            head.update(frame["message"])

    report = runtime.call("message.export", inbox=inbox, mailbox=mailbox, uids=[uid], on_frame=take)
    if not report["exported"]:
        return None
    if sink is not None:
        sink.flush()
        return {}
    return _shown(head, b"".join(pieces))


def _shown(head: dict[str, Any], octets: bytes) -> dict[str, Any]:
    parsed = mime.parse(octets)
    fields = {field.name.lower().decode("latin-1"): field.value for field in reversed(mime.fields(parsed.header))}
    root = mime.node_of(parsed.root)
    body = octets[len(parsed.header) :]
    return {name: mime.decode_text(fields[name]) if name in fields else None for name in _SHOWN} | {
        "uid": head["uid"],
        "arrived": rfc3339(head["date"]),
        "flags": names_of(head["flags"], {}) + list(head["keywords"]),
        "size": head["size"],
        "attachments": _attachments(root),
        "text": _text(root, body),
    }


def _text(root: PartNode, body: bytes) -> str:
    """The first plain text part, else the first text part without its markup."""
    parts = mime.text_parts(root)
    part = next((one for one in parts if one.subtype == b"plain"), parts[0] if parts else None)
    if part is None:
        return ""
    decoded = mime.decode_body(body[part.header_end : part.body_end], part.encoding)
    return mime.text_of(decoded, part.charset, part.subtype)


def _attachments(root: PartNode) -> list[str]:
    """Types and sizes of the parts that are no text."""
    found: list[str] = []
    stack = [root]
    while stack:
        part = stack.pop()
        stack.extend(reversed(part.children))
        if part.kind is not PartKind.MULTIPART and part.type != b"text":
            size = part.body_end - part.header_end
            found.append(f"{part.type.decode('latin-1')}/{part.subtype.decode('latin-1')} ({size} octets)")
    return found
