"""Values of the domain: no I/O, no protocol, no imports from the rest of the gateway."""
