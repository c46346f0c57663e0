"""The Augment page: how training images are varied, and what that makes of them."""

from studio.gui.pages.augment.page import AugmentPage

__all__ = ["AugmentPage"]
