"""The queue's worker: what was accepted for elsewhere goes out, is tried again, or comes back as a bounce."""
