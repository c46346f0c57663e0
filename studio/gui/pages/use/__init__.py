"""The Use page: try the model, predict folders, export."""
