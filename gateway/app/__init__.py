"""Builds and wires the parts of the gateway: the only place that knows them all."""
