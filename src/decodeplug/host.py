"""The host: a model, a tokenizer and plugins, and every way to decode with them."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import fields
from typing import Any

from decodeplug.admission import Limits
from decodeplug.constraints import accepts
from decodeplug.contracts import Processor
from decodeplug.discovery import Plugins
from decodeplug.ends import end_ids_of, pad_id_of
from decodeplug.errors import BadOption
from decodeplug.fit import Fit
from decodeplug.inflow import checked
from decodeplug.registry import Offer
from decodeplug.request import Request
from decodeplug.result import Result
from decodeplug.runner import Runner
from decodeplug.stream import Stream
from decodeplug.submitted import Submitted
from decodeplug.target import Target
from decodeplug.vocabulary import Vocabulary, check_fits

__all__ = ["Host"]


class Host:
    """Decoding middleware around one transformers causal language model.

    :param model: Any causal language model that you already have; it is not changed.
    :param tokenizer: Its tokenizer. None: prompts are ids, and texts are not had.
    :param plugins: None: all that are installed. ``[]``: the built-in parts only. A list
        of names, modules or plugin objects: only these; ``"-name"`` blocks one.
    :param max_batch: Lanes that ``generate_batch``, ``run`` and ``submit`` decode at once; the other requests wait. One
        with more hypotheses than that runs alone. None is no limit; likewise of the next two.
    :param max_batch_tokens: Ids of one forward of theirs: longer prompts are fed in pieces where the model allows it.
    :param max_cache_bytes: No request joins theirs where the cache would become larger, judged by what lanes take now
        and by how long all texts may become.
    :param use_generation_config: Take sampling options from the model's generation config,
        where a request names no processors. By default it only gives the end and pad tokens.
    :raises UnsupportedModel: The model cannot be decoded, and why.
    :raises VocabularyMismatch: The tokenizer does not belong to the model.
    :raises NameTaken: Two plugins offer the same part.

    A host is thread-safe, and usable again after any error.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        *,
        plugins: Any = None,
        use_generation_config: bool = False,
        max_batch: int | None = 16,
        max_batch_tokens: int | None = 2048,
        max_cache_bytes: int | None = None,
    ) -> None:
        limits = Limits(max_batch, max_batch_tokens, max_cache_bytes)
        self.plugins = Plugins.load(plugins)
        self.target = Target(model)
        self.model, self.tokenizer = model, tokenizer
        self.end_ids, self.pad_id = end_ids_of(self.target.module, tokenizer), pad_id_of(self.target.module, tokenizer)
        self.vocabulary: Vocabulary | None = None
        if tokenizer is not None:
            check_fits(tokenizer, self.target.vocab_size)
            self.vocabulary = Vocabulary(tokenizer, self.target.vocab_size, self.end_ids)
        self._fit = Fit(
            registry=self.plugins.registry,
            tokenizer=tokenizer,
            vocabulary=self.vocabulary,
            target=self.target,
            end_ids=self.end_ids,
            defaults=self._configured if use_generation_config else None,
            configured_beams=self._configured_beams() if use_generation_config else {},
            configured_sampling=use_generation_config and bool(self.target.module.generation_config.do_sample),
        )
        self._runner = Runner(self.target, self._fit, self.plugins, limits)
        self.plugins.announce("decodeplug_host_ready", host=self)

    @classmethod
    def from_pretrained(
        cls, name: str, *, plugins: Any = None, use_generation_config: bool = False, **options: Any
    ) -> Host:
        """A host around a model by name.

        :param name: A hub id, a local folder, or "smollm2": the embedded default, which needs
            no hub (it is converted once, into the user's cache folder).
        :param options: ``dtype``, ``device_map``, ``attn_implementation``, ``revision`` and
            whatever else ``AutoModelForCausalLM.from_pretrained`` takes. Only safetensors
            weights are read, and no code of the model folder is executed, unless you ask for it.
            ``max_batch`` and its like are those of ``Host``.
        :raises ModelMissing: It is not on this machine; says how to get it.
        :raises UnsupportedModel: It is no causal language model.
        """
        from decodeplug.loading import load

        limits = {limit.name: options.pop(limit.name) for limit in fields(Limits) if limit.name in options}
        model, tokenizer = load(name, **options)
        return cls(model, tokenizer, plugins=plugins, use_generation_config=use_generation_config, **limits)

    @classmethod
    def from_pipeline(cls, pipe: Any, **options: Any) -> Host:
        """A host around the model and tokenizer of a text-generation pipeline; its assistant model is not taken.

        :param options: As for ``Host``.
        :raises UnsupportedModel: The pipeline is for another task.
        """
        from decodeplug.bridges.pipeline import parts_of

        model, tokenizer = parts_of(pipe)
        return cls(model, tokenizer, **options)

    @property
    def context_window(self) -> int | None:
        """Prompt and new tokens together; None where the model sets no limit."""
        return self.target.context_window

    def generate(self, prompt: Any, *, streamer: Any = None, **options: Any) -> Result:
        """Decode one prompt.

        :param prompt: Text, chat messages or ids; see ``Request``.
        :param streamer: A transformers streamer, such as ``TextStreamer``.
        :param options: The options of ``Request``.
        :raises DecodeplugError: The request cannot run, or failed.
        """
        request = Request(prompt, **options)
        if streamer is None:
            return self._runner.one(request)
        from decodeplug.bridges.streamers import feed

        return feed(streamer, self._runner.stream(request))

    def generate_batch(self, requests: Iterable[Request], *, return_errors: bool = False) -> list[Result]:
        """Decode several requests together; each gets what it would get alone.

        :param requests: Each with its own prompt, constraint, strategy and seed.
        :param return_errors: Give a failed request back as a Result with ``error`` set. By default
            what is refused is raised before anything runs, and what fails later is raised when the
            others have finished.
        """
        return self._runner.batch(list(requests), return_errors=return_errors)

    def run(
        self, requests: Iterable[Request], *, ordered: bool = True, return_errors: bool = False
    ) -> Generator[Result, None, None]:
        """Decode the requests of any iterable, also of one without end; yields results as they finish.

        A request is taken when there is room for it, and one that finishes makes room at once. Those with another
        ``cache`` begin when the ones before them have finished. The iterable is read between two turns: where it has to
        wait for its next request, the others wait too (``submit`` does not).

        :param ordered: Yield results in the order of the requests; those that overtake others are kept, and while 256
            of them wait no further request is begun. False: as they finish.
        :param return_errors: Give a request that is refused or fails back as a Result with ``error`` set. By default
            no request is taken after the first error, and it is raised when those that had begun have finished.
        """
        return self._runner.run(requests, ordered=ordered, return_errors=return_errors)

    def submit(self, request: Request) -> Submitted:
        """Decode a request in the background, together with others that were submitted.

        :returns: Its chunks, to iterate over with ``for`` or ``async for``; ``result()``; or ``await`` it.
        :raises DecodeplugError: The request cannot run.
        """
        return self._runner.submit(checked("submit", request))

    def stream(self, prompt: Any, **options: Any) -> Stream:
        """Decode one prompt chunk by chunk.

        :returns: An iterator of ``Chunk``; its ``result`` is the whole result. The request is
            checked now, and runs as far as it is read.
        """
        return self._runner.stream(Request(prompt, **options))

    def accepts(self, constraint: Any, text: str) -> bool:
        """Would this very text, and then the end, be allowed? No model call.

        A JSON schema's layout counts.

        :raises DecodeplugError: The constraint itself cannot be enforced.
        """
        if self.vocabulary is None:
            raise BadOption("accepts", wanted="a host with a tokenizer: Host(model, tokenizer)")
        known = self._fit.constraints
        return accepts(known.compile(known.spec(constraint)), self.vocabulary, text)

    def pipeline(self, **options: Any) -> Any:
        """A pipeline that behaves like transformers' ``TextGenerationPipeline`` and decodes here.

        :param options: Options of every request that it makes, such as ``constraint=``.
        """
        from decodeplug.bridges.pipeline import HostPipeline

        return HostPipeline(self, **options)

    def custom_generate(self, **options: Any) -> Any:
        """A callable for ``model.generate(..., custom_generate=...)``.

        :param options: Options of every request that it makes.
        """
        from decodeplug.bridges.custom_generate import CustomGenerate

        return CustomGenerate(self, options)

    def score(self, prompt: Any, continuation: Any, *, interventions: Sequence[Any] = ()) -> list[float]:
        """Log-probability of each token of a continuation, one forward, before processors.

        :param prompt: As for ``generate``.
        :param continuation: Text (tokenised without special tokens) or ids.
        :param interventions: As for ``generate``.
        :returns: ``[tokens]`` natural log; their sum is that of the whole continuation.
        """
        return self._runner.score(prompt, continuation, interventions)

    def parts(self) -> list[Offer]:
        """Every part that the plugins of this host offer, by kind and name."""
        return list(self.plugins.registry.offers())

    def close(self) -> None:
        """Stop the host's threads; submitted requests that have not finished are cancelled. It cannot be used after it."""
        self._runner.close()
        self.target.shared.clear()

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _configured_beams(self) -> dict[str, Any]:
        from decodeplug.bridges.generation_config import beam_options

        return beam_options(self.target.module.generation_config)

    def _configured(self, prompt_length: int) -> list[Processor]:
        from decodeplug.bridges.transformers_processors import from_generation_config

        config, target = self.target.module.generation_config, self.target
        return from_generation_config(
            config, self.end_ids, prompt_length, vocab_size=target.vocab_size, device=target.device
        )
