"""Webhooks: events of the change log told to others' servers, signed, in order, until they say that they have them."""
