"""The question: the study file and its pieces, a trial and its id, base HPs, the axes of a grid. Nothing here loads
torch."""
