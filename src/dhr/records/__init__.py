"""The JSON files that a job leaves, as frozen dataclasses that writers and readers share."""
