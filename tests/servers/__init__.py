"""Peers that tests and benchmarks start for themselves: on loopback, on free ports, stopped by pid."""
