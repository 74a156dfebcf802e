"""One HTML page that shows the most doubtful masks first."""
