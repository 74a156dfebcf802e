"""Changes that no test can notice, with the reason. They do not count."""

EQUIVALENT: dict[tuple[str, str], str] = {}
