"""Learning curves: draws of a training set, and a trial on each."""
