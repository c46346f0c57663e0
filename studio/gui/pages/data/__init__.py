"""The Data page: what the images are, how they are divided, what is wrong with them."""
