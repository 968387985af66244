"""Client set-up: mail programs that are told an address only ask here for host, ports and encryption."""
