"""Training of the last part of a network, or of a head, on what stage one has cached.

``cuts`` finds where a network may be split, ``tail`` splits it there, ``head`` turns a fitted logistic regression into
the last layer and back; ``steps`` is one step of training on each of Keras's backends, ``loop`` the epochs, and
``checkpoints`` what they leave behind for the case that they are stopped.
"""
