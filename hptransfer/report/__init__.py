"""What one looks at: figures turn results into charts, `draw` and `page` turn charts into files."""
