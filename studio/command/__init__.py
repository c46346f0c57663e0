"""The commands of `studio`, one file each. They import lazily: what needs torch imports it when it runs."""
