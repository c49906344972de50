"""From the question to its trials: a settled study, the grid, the bracket search, the search on the proxy."""
