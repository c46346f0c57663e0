"""The Augment page: the pipeline, and what it does to the user's own images."""
