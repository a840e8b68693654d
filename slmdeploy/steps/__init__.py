"""The steps of the pipeline, one a file; only ``pipeline.py`` knows them all."""
