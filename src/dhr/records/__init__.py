"""The JSON files of a job, as frozen dataclasses that writers and readers share."""
