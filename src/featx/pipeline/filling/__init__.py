"""Stage one, from a list of images to a sealed store."""
