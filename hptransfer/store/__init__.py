"""The one door to the rows: Parquet parts in and out, with their schema, digests and lock."""
