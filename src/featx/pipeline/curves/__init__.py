"""Learning curves: draws of a training set, and what is tried on each."""
