"""From rows to evidence: optimum, regret, drift, verdict, and what it is worth in compute."""
