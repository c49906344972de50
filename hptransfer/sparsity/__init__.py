"""Which weights are zero, and how to compute with what is left."""
