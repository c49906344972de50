"""The command line: words, options, tables and exit statuses, a file per command."""
