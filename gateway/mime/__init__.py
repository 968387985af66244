"""Octets of mail to values: headers, part offsets, envelope, body structure, text for search.

Never loses or changes an octet, never raises on any input, takes linear time. Knows no protocol (what
it yields `wire` renders) and no storage.
"""

from .address import parse_addresses
from .charset import to_text
from .collation import fold
from .date import SentDate, parse_date, parse_sent_date
from .decoding import Decoder, decoder_for, is_identity
from .envelope import envelope_of, message_ids
from .header import HeaderField, field_selector, fields, index_fields, select_fields, unfold
from .parts import PartNode, decode_parts, encode_parts, find_section, node_of, searched_parts, text_parts
from .preview import preview_of
from .reports import may_be_report
from .scanner import PARSER_VERSION, Scanner, parse
from .subject import base_subject, is_reply_or_forward
from .text import decode_body, decode_text, text_of

__all__ = [
    "PARSER_VERSION",
    "Decoder",
    "HeaderField",
    "PartNode",
    "Scanner",
    "SentDate",
    "base_subject",
    "decode_body",
    "decode_parts",
    "decode_text",
    "decoder_for",
    "encode_parts",
    "envelope_of",
    "field_selector",
    "fields",
    "find_section",
    "fold",
    "index_fields",
    "is_identity",
    "is_reply_or_forward",
    "may_be_report",
    "message_ids",
    "node_of",
    "parse",
    "parse_addresses",
    "parse_date",
    "parse_sent_date",
    "preview_of",
    "searched_parts",
    "select_fields",
    "text_of",
    "text_parts",
    "to_text",
    "unfold",
]
