"""What the owner of a key may see and do, as values: one service below the HTTP API, its facades and the dashboard."""
