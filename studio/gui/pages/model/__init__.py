"""The Model page: the pretrained backbone, what of it trains, and the new head."""
