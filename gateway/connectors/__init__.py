"""Connectors: each keeps one inbox and one account elsewhere in sync, and sends through that account."""
