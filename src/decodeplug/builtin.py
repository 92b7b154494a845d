"""The built-in parts, offered through the same door as everybody else's.

Factories are named by text, so that loading plugins imports none of them.
"""

from __future__ import annotations

from decodeplug.grammar_library import factory, library
from decodeplug.hookspecs import hookimpl
from decodeplug.registry import Registry
from decodeplug.spec import normal_name

__all__ = ["decodeplug_register"]

_PROCESSORS = {
    "temperature": "Temperature",
    "top-k": "TopK",
    "top-p": "TopP",
    "min-p": "MinP",
    "typical": "Typical",
    "epsilon": "Epsilon",
    "eta": "Eta",
    "top-h": "TopH",
    "repetition-penalty": "RepetitionPenalty",
    "presence-penalty": "PresencePenalty",
    "frequency-penalty": "FrequencyPenalty",
    "no-repeat-ngram": "NoRepeatNgram",
    "bias": "Bias",
    "bad-words": "BadWords",
    "min-tokens": "MinTokens",
    "forced-prefix": "ForcedPrefix",
}
_CONSTRAINTS = {
    "json-schema": "json_schema",
    "regex": "regex",
    "lark": "lark",
    "choice": "choice",
    "product": "Product",
    "union": "Union",
    "phases": "Phases",
    "tools": "tools",
}
_DRAFTERS = {
    "none": "NoDrafts",
    "lookup": "Lookup",
    "forced": "Forced",
    "chain": "Chain",
    "assistant": "Assistant",
    "heads": "HeadDrafts",
    "mtp": "NativeDrafts",
}
_SELECTORS = {"match": "Match", "reject": "Reject", "beam": "Beam"}
_STRATEGIES = {
    "greedy": "Greedy",
    "sample": "Sample",
    "beam": "BeamSearch",
    "speculative": "Speculative",
    "mtp": "MultiTokenPrediction",
    "self-consistency": "SelfConsistency",
    "best-of-n": "BestOfN",
}
_CACHES = {
    "dense": "Dense",
    "none": "NoCache",
    "paged": "Paged",
    "quantised": "Quantised",
    "latent": "Latent",
    "stored-input": "StoredInput",
    "transformers-quantized": "TransformersQuantized",
}
_INSPECTORS = {"moe-routing": "MoERouting"}
_INTERVENTIONS = {
    "moe-top-k": "TopExperts",
    "moe-ablate": "Ablate",
    "moe-force": "ForceExperts",
    "moe-temperature": "RouterTemperature",
    "moe-noise": "RouterNoise",
    "moe-replay": "ReplayRouting",
}


@hookimpl
def decodeplug_register(registry: Registry) -> None:
    for name, attribute in _PROCESSORS.items():
        registry.processor(name, f"decodeplug.processors:{attribute}")
    for name, attribute in _CONSTRAINTS.items():
        registry.constraint(name, f"decodeplug.constraints:{attribute}")
    for name, attribute in _DRAFTERS.items():
        registry.drafter(name, f"decodeplug.drafters:{attribute}")
    for name, attribute in _SELECTORS.items():
        registry.selector(name, f"decodeplug.selectors:{attribute}")
    for name, attribute in _STRATEGIES.items():
        registry.strategy(name, f"decodeplug.strategies:{attribute}")
    for name, attribute in _CACHES.items():
        registry.cache(name, f"decodeplug.caches:{attribute}")
    for name, attribute in _INSPECTORS.items():
        registry.inspector(name, f"decodeplug.routing:{attribute}")
    for name, attribute in _INTERVENTIONS.items():
        registry.intervention(name, f"decodeplug.routing:{attribute}")
    for grammar in library():
        registry.grammar(normal_name(grammar.name), factory(grammar))
