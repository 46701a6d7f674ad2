"""The verbs: the only package that joins the stages.

=========================== =======================================================================
`featx.pipeline.extraction` a source of images to sealed feature stores
`featx.pipeline.fitting`    a feature store to a model
`featx.pipeline.tuning`     a model and the images it was fitted on to tuned weights and a model
`featx.pipeline.baseline`   images to the report of a small network of one's own
`featx.pipeline.scoring`    a model and labelled images to a report
`featx.pipeline.comparing`  reports to the differences between their models
`featx.pipeline.prediction` a model and new images to labels
`featx.pipeline.describing` a file to what it says of itself
`featx.pipeline.verifying`  a feature store against its format, its checksums and its images
`featx.pipeline.exporting`  a feature store to a file for other programs
`featx.pipeline.filling`    behind `extract`: what a run takes over, computes and writes
`featx.pipeline.evaluation` behind `score`: predictions judged, copies of training images, the page
`featx.pipeline.curves`     a feature store to the accuracy that fewer images would give
`featx.pipeline.naming`     default names of files
`featx.pipeline.labels`     labels and groups from a CSV and from paths
=========================== =======================================================================
"""
