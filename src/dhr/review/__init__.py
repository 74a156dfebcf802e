"""The local page on which a person reviews the masks of a run: its server."""
