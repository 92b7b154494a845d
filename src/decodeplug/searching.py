"""How the tokens of a request are chosen: its strategy, whether noise is drawn, its selector, and how many texts are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from decodeplug.contracts import Processor, Selector, Strategy
from decodeplug.errors import BadOption, DecodeplugError, IncompatibleParts, PluginError
from decodeplug.jury import Jury
from decodeplug.owners import owner_of
from decodeplug.registry import Registry
from decodeplug.request import Request
from decodeplug.score import part_name
from decodeplug.values import Stage

__all__ = ["Searching", "hypotheses_of", "shapes"]

_OF_STRATEGIES = ("n", "answer", "weights", "scorer")  # options of a request that are its strategy's


class Searching:
    """Finds the strategies and selectors of one host's requests.

    :param configured_sampling: Does the model's generation config sample?
    """

    def __init__(self, registry: Registry, configured_sampling: bool) -> None:
        self.registry, self.configured_sampling = registry, configured_sampling

    def strategy(self, request: Request) -> Strategy:
        """The strategy that a request names or comes to.

        :raises BadOption: It is none, or does not take what the request says. :raises UnknownPart: There is none of that name.
        """
        given = {name: value for name in _OF_STRATEGIES if (value := getattr(request, name)) is not None}
        if given and request.strategy is None:
            raise BadOption("request", wanted='a strategy that takes it, such as strategy="self-consistency"', **given)
        default = "beam" if (request.num_beams or 1) > 1 else "greedy" if request.assistant is None else "speculative"
        strategy = self.registry.build("strategy", default if request.strategy is None else request.strategy, **given)
        if not all(hasattr(strategy, claim) for claim in ("name", "samples", "selector", "drafters")):
            raise BadOption("request", strategy=strategy, wanted="a name, a mapping, or a strategy")
        return strategy

    def samples(self, request: Request, strategy: Strategy, processors: Sequence[Processor]) -> bool:
        """Is noise drawn? See the defaults in ``docs/recipes.md``.

        :raises BadOption: The request says two things of it.
        """
        shaping = [part for part in processors if shapes(part)]
        cold = any(getattr(part, "temperature", None) == 0 for part in processors)
        samples = strategy.samples
        if request.strategy is None or samples is None:
            by_config = request.processors is None and self.configured_sampling
            samples = bool(shaping) or by_config
        elif samples is False and shaping and not cold:
            raise BadOption(
                f"strategy {strategy.name!r}",
                processors=[part_name(part) for part in shaping],
                wanted='no processor that only matters to sampling; use strategy="sample" or leave the strategy out',
            )
        if request.do_sample is not None:
            if request.strategy is not None and strategy.samples not in (None, request.do_sample):
                raise BadOption(
                    f"strategy {strategy.name!r}", do_sample=request.do_sample, wanted=f"{strategy.samples}"
                )
            samples = request.do_sample
        return samples and not cold

    def selector(
        self, request: Request, strategy: Strategy, samples: bool, hypotheses: int, resolved: Mapping[str, Any]
    ) -> Selector:
        """The strategy's selector, with the options that it takes; those that it does not take must not be given.

        :param resolved: The options of the request, with the budget and the end tokens that it has in the end.
        :raises BadOption: An option means nothing to it. :raises IncompatibleParts: It has no beams, or no rejection.
        """
        takes = getattr(strategy, "options", ())
        if "num_beams" not in takes and (request.num_beams or 1) > 1:
            raise IncompatibleParts(
                f"strategy {strategy.name!r}",
                f"num_beams={request.num_beams}",
                because="it has no beams",
                instead="Leave num_beams out, or the strategy",
            )
        for name, unused in (("length_penalty", (1.0,)), ("early_stopping", (False,))):
            if name not in takes and (value := getattr(request, name)) not in unused:
                raise BadOption(
                    f"strategy {strategy.name!r}",
                    wanted='strategy="beam" or num_beams above 1 with it',
                    **{name: value},
                )
        given = {name: resolved[name] for name in takes if resolved[name] is not None}
        by_rejection = request.acceptance == "rejection"
        if by_rejection and strategy.selector != "match":
            raise IncompatibleParts(
                f"strategy {strategy.name!r}",
                "acceptance='rejection'",
                because=f"it chooses by {strategy.selector!r}, and rejection takes the place of 'match'",
                instead="Use acceptance='match'",
            )
        selector: Selector = (
            self.registry.build("selector", "reject")
            if by_rejection and samples
            else self.registry.build("selector", strategy.selector, sample=samples, **given)
        )
        most = getattr(selector, "width", None if samples else 1)
        if most is not None and hypotheses > most:
            several = {"num_return_sequences" if request.num_return_sequences > 1 else "n": hypotheses}
            raise BadOption(
                "request",
                wanted=f"at most num_beams, {most}" if most > 1 else "1 unless the strategy samples or has beams",
                **several,
            )
        return selector


def hypotheses_of(request: Request, jury: Jury | None) -> int:
    """How many texts are written.

    :raises BadOption: The strategy says it, and the request too. :raises PluginError: The strategy failed to.
    """
    if jury is None:
        return request.num_return_sequences
    if request.num_return_sequences > 1:
        wanted = "n= for how many texts are written; the others are in result.alternatives"
        raise BadOption(f"strategy {jury.name!r}", num_return_sequences=request.num_return_sequences, wanted=wanted)
    try:
        lanes = jury.lanes(request)
        if isinstance(lanes, bool) or not isinstance(lanes, int) or lanes < 1:
            raise TypeError(f"gave {lanes!r} where a whole number of texts was wanted, at least 1")
    except DecodeplugError:
        raise
    except Exception as error:
        raise PluginError(owner_of(jury), part_name(jury), "lanes", error) from error
    return lanes


def shapes(part: Any) -> bool:
    """Does a processor only matter to sampling? Those are the temperature and truncating ones."""
    return getattr(part, "stage", None) in (Stage.TEMPERATURE, Stage.TRUNCATE)
