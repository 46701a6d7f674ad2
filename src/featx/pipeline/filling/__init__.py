"""Stage one's way from images to a sealed store: what a run is, what it takes over, what it computes."""
