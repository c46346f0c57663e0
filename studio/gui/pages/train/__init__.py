"""The Train page: a run as it goes on."""
