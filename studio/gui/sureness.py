"""How sure a run is and may be, read from its stored answers, and in words. For the pages Results and Use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio.core.predictions import read_predictions
from studio.core.reliability import Reliability, measure
from studio.core.run_folder import RunFolder
from studio.core.threshold import class_thresholds
from studio.core.words import confidence_text
from studio.gui.wording import percent


@dataclass(frozen=True)
class Sureness:
    """Of the validation part, and of the test part with the temperature of validation where that was scored."""

    validation: Reliability
    test: Reliability | None
    thresholds_C: np.ndarray  # NaN without images
    threshold_f1_C: np.ndarray


def read_sureness(folder: RunFolder) -> Sureness | None:
    """From the stored answers of a run; None where there are none. Takes about 70 us per image with a thousand classes: for a background thread."""
    answers = read_predictions(folder)
    found = measure(answers.labels, answers.log_p, answers.losses) if answers else None
    if answers is None or found is None:
        return None
    test = None
    if found.temperature is not None and (on_test := read_predictions(folder, "test")):
        test = measure(on_test.labels, on_test.log_p, on_test.losses, found.temperature)
    return Sureness(found, test, *class_thresholds(answers.labels, answers.log_p))


def sure_words(reliability: Reliability, accuracy: float) -> str:
    """ "95 % right: from 71 % sure on, 88 % of the answers"."""
    confidence = reliability.answered.confidence_for(accuracy)
    if confidence is None:
        return f"No confidence is high enough for {percent(accuracy, 0)} right answers."
    share = reliability.answered.at(confidence)[1]
    return f"{percent(accuracy, 0)} right from {confidence_text(confidence)} sure on, which {percent(share)} of the answers are"
