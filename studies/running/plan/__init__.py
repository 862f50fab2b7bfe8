"""The plan of a study before it runs: what it costs, and whether its steps are compiled."""
