"""Training and ranking on several processes or machines, on Ray (extra `ray`)."""
