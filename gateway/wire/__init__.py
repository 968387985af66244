"""IMAP grammar in both directions: octets to typed commands, values to responses. No sockets, no clock, no store.

`framing.Reader` cuts octets into frames and literals, `parser.parse` turns a frame into one of the dataclasses of
`commands`, `render` writes responses.
"""
