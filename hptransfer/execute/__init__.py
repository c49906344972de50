"""Where trials run: executors, the runner that retries and stores, and the observers it tells."""
