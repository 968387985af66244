"""Settings that describe themselves: one annotated dataclass field is type, bounds, manual, command-line option.

The configuration of a server is made of them (`gateway.config`), and so are the options of a connector.
"""
