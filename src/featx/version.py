"""The version of featx, for files that say what made them."""

__version__ = "0.1.0"
