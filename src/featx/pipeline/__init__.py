"""The verbs: the only package that joins the stages.

========================= ============================================
`featx.pipeline.extraction` a source of images to sealed feature stores
`featx.pipeline.fitting`    a feature store to a model
`featx.pipeline.scoring`    a model and labelled images to a report
`featx.pipeline.prediction` a model and new images to labels
`featx.pipeline.describing` a file to what it says of itself
`featx.pipeline.verifying`  a feature store against its format, its checksums and its images
`featx.pipeline.exporting`  a feature store to a file for other programs
========================= ============================================
"""
