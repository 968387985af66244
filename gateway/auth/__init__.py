"""Who may log in: key form and hash, verified-secret cache, throttling, live sessions, new keys."""
