"""Learning: the contract of every recommender, encoders, exact solves, losses and the training loop."""
