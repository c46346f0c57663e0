"""Studio: a desktop training studio for image classifiers."""

__version__ = "0.1.0"
