"""The Results page: runs side by side, what the network gets wrong and why."""
