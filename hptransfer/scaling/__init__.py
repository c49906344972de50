"""Rules that carry base hyperparameters from a small dense model to every tensor of a large sparse one."""
