"""The stages of jobs, one file each."""
