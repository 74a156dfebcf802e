"""The masks and records of a job, by photograph: files in folders, or rows of Parquet files."""
