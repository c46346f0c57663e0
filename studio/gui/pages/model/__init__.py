"""The Model page: the pretrained backbone, what of it trains, and the new head."""

from studio.gui.pages.model.page import ModelPage

__all__ = ["ModelPage"]
