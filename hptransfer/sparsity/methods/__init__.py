"""Ways in which masks come to be and change, a file each."""
