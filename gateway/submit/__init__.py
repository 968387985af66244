"""Accepting mail, whoever brings it: who may send as whom, where it goes, what is changed, one unit that keeps it."""
