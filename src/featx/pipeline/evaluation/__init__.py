"""A model held against images that it was not fitted on: figures, copies of training images, pictures, the page."""
