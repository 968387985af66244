"""The up side of two-way sync: what changed here goes up, durably, with evidence; see `pusher`."""
