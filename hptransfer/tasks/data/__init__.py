"""Where tokens come from: corpora with a fingerprint, a fixed split and a batch stream of (seed, step) alone."""
