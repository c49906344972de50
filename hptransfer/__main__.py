"""`python -m hptransfer` is the command line."""

from hptransfer.cli import main

main()
