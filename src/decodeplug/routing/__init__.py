"""What is seen, measured and changed of mixture-of-experts models: who computes which token, and what if somebody else did."""

from decodeplug.routing.alarm import Alarm, Thresholds, collapse
from decodeplug.routing.compared import Comparison, compare
from decodeplug.routing.inspector import MoERouting
from decodeplug.routing.interventions import (
    Ablate,
    ForceExperts,
    ReplayRouting,
    RouterNoise,
    RouterTemperature,
    TopExperts,
)
from decodeplug.routing.measures import (
    Balance,
    auxiliary_loss,
    balance,
    drift,
    fractions,
    mean_probs,
    overlap,
    repetition,
    repetition_by_chance,
)
from decodeplug.routing.pages import page, token_texts
from decodeplug.routing.report import Routing
from decodeplug.routing.specialisation import Specialisation, character_classes, positions, specialisation

__all__ = [
    "Ablate",
    "Alarm",
    "Balance",
    "Comparison",
    "ForceExperts",
    "MoERouting",
    "ReplayRouting",
    "RouterNoise",
    "RouterTemperature",
    "Routing",
    "Specialisation",
    "Thresholds",
    "TopExperts",
    "auxiliary_loss",
    "balance",
    "character_classes",
    "collapse",
    "compare",
    "drift",
    "fractions",
    "mean_probs",
    "overlap",
    "page",
    "positions",
    "repetition",
    "repetition_by_chance",
    "specialisation",
    "token_texts",
]
