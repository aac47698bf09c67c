"""The coordinator: HTTP API and scheduler; it knows nothing of a job that chain and store do not hold."""
