"""Search base hyperparameters on the small dense proxy, and say how sure and how flat the winner is."""
