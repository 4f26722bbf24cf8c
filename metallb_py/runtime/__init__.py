"""What a daemon stands on: logs, metrics, the HTTP page, tasks."""
