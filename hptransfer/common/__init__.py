"""What every room uses: errors, numbers as people read them, files written whole, and `seams`, the table of all that
may vary."""
