"""The experiment, its validation, events, journal, fold and run folder. Knows neither Qt nor torch."""
