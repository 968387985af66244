"""What a process needs around the mail: loop, TLS, local CA, logs, metrics, health, systemd."""
