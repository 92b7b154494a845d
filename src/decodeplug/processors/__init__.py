"""The built-in logits processors: pure functions of the scores and of what each row has seen."""

from decodeplug.processors.bad_words import BadWords
from decodeplug.processors.bias import Bias
from decodeplug.processors.epsilon import Epsilon
from decodeplug.processors.eta import Eta
from decodeplug.processors.forced_prefix import ForcedPrefix
from decodeplug.processors.min_p import MinP
from decodeplug.processors.min_tokens import MinTokens
from decodeplug.processors.ngram import NoRepeatNgram
from decodeplug.processors.penalties import FrequencyPenalty, PresencePenalty, RepetitionPenalty
from decodeplug.processors.temperature import Temperature
from decodeplug.processors.top_h import TopH
from decodeplug.processors.top_k import TopK
from decodeplug.processors.top_p import TopP
from decodeplug.processors.typical import Typical

__all__ = [
    "BadWords",
    "Bias",
    "Epsilon",
    "Eta",
    "ForcedPrefix",
    "FrequencyPenalty",
    "MinP",
    "MinTokens",
    "NoRepeatNgram",
    "PresencePenalty",
    "RepetitionPenalty",
    "Temperature",
    "TopH",
    "TopK",
    "TopP",
    "Typical",
]
