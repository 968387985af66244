"""HTTP: the API, vendors' APIs that programs exist for, the dashboard, and what mail clients ask for at set-up."""
