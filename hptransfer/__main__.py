"""`python -m hptransfer` is the command line."""

from hptransfer.cli.main import main

main()
