"""A lab that adds one entry to each seam of hptransfer, each in a file of its own, with no change in hptransfer."""
