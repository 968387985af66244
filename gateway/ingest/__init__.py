"""The one way in for octets: parsed and rendered once, staged as they come, handed to the store as a content."""

from .writer import ContentWriter, Ingest

__all__ = ["ContentWriter", "Ingest"]
