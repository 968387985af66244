"""Looking after a store: janitor, consistency check, backup and restore, import and export of mail."""
