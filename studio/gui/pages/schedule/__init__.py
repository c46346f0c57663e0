"""The Schedule page: the learning rate drawn on its plot, the optimiser beside it, thawing below."""
