"""Parts of `baseline`: the images, their pixels, the training, and the report."""
