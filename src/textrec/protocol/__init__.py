"""The protocol of evaluation: splits, blocked ranking and metrics."""
