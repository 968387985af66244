"""Everything that dials out: checked addresses, verified TLS, SMTP with stages that say what is known of an outcome."""
