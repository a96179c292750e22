"""Experiments: one model on one split, later grids, reports and searches."""
