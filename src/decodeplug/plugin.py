"""All that a plugin imports. What is named here stays as it is from version 0.1 on.

Importing it loads neither transformers nor any part.
"""

from decodeplug.contracts import (
    Constraint,
    ConstraintSpec,
    Drafter,
    Inspector,
    Processor,
    Proposal,
    Rows,
    Selector,
    Session,
    Strategy,
    Vocabulary,
)
from decodeplug.discovery import Plugins, PluginWarning
from decodeplug.errors import (
    BadLogits,
    BadOption,
    BudgetTooSmall,
    CacheFull,
    Cancelled,
    ContextOverflow,
    DecodeplugError,
    IncompatibleParts,
    InvalidResult,
    ModelMissing,
    NameTaken,
    PluginError,
    UnknownPart,
    Unsatisfiable,
    UnsupportedGrammar,
    UnsupportedModel,
    UnsupportedSchema,
    VocabularyMismatch,
)
from decodeplug.hookspecs import hookimpl
from decodeplug.jury import Decision, Jury, Path
from decodeplug.own_constraint import ByteConstraint, CharacterConstraint
from decodeplug.registry import Offer, Registry
from decodeplug.values import NO_DRAFT, Draft, Extension, LaneView, Record, Seen, Stage

__all__ = [
    "NO_DRAFT",
    "BadLogits",
    "BadOption",
    "BudgetTooSmall",
    "ByteConstraint",
    "CacheFull",
    "Cancelled",
    "CharacterConstraint",
    "Constraint",
    "ConstraintSpec",
    "ContextOverflow",
    "Decision",
    "DecodeplugError",
    "Draft",
    "Drafter",
    "Extension",
    "IncompatibleParts",
    "Inspector",
    "InvalidResult",
    "Jury",
    "LaneView",
    "ModelMissing",
    "NameTaken",
    "Offer",
    "Path",
    "PluginError",
    "PluginWarning",
    "Plugins",
    "Processor",
    "Proposal",
    "Record",
    "Registry",
    "Rows",
    "Seen",
    "Selector",
    "Session",
    "Stage",
    "Strategy",
    "UnknownPart",
    "Unsatisfiable",
    "UnsupportedGrammar",
    "UnsupportedModel",
    "UnsupportedSchema",
    "Vocabulary",
    "VocabularyMismatch",
    "hookimpl",
]
