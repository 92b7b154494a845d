"""What transform coding must know of a model, learned from text while the model stays as it is."""

from decodeplug.calibration.making import calibrate

__all__ = ["calibrate"]
