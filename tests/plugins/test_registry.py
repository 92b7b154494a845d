"""Which parts there are, and how they are built from what a recipe says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pytest

from decodeplug.errors import BadOption, NameTaken, PluginError, UnknownPart
from decodeplug.registry import KINDS, Registry


@dataclass(frozen=True)
class Keep:
    """Keep a share.

    And a second line.
    """

    share: float = 0.5
    at_least: int = 1
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise BadOption("keep", share=self.share, wanted="a number in (0, 1]")


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    with registry.offered_by("decodeplug-keep", "1.2"):
        registry.processor("keep", Keep)
    return registry


def test_an_offer_knows_who_made_it_and_what_it_is(registry: Registry) -> None:
    offer = registry.get("processor", "keep")
    assert (offer.distribution, offer.version, offer.summary) == ("decodeplug-keep", "1.2", "Keep a share.")
    assert offer.options == {"share": "0.5", "at_least": "1", "words": "()"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_part_can_be_offered_and_built(kind: str) -> None:
    registry = Registry()
    getattr(registry, kind)("a-part", lambda: kind)
    assert registry.build(kind, "a_part") == kind
    assert [offer.part for offer in registry.offers()] == [f"{kind} 'a-part'"]


def test_offers_come_sorted_by_kind_and_name() -> None:
    registry = Registry()
    registry.cache("b", Keep)
    registry.cache("a", Keep)
    registry.processor("z", Keep)
    assert [(offer.kind, offer.name) for offer in registry.offers()] == [
        ("processor", "z"),
        ("cache", "a"),
        ("cache", "b"),
    ]


@pytest.mark.parametrize(
    "spec",
    ["keep=0.25,at_least=3", "keep=share=0.25,at-least=3", {"name": "keep", "share": 0.25, "at_least": 3}],
)
def test_a_line_and_a_mapping_build_the_same_part(registry: Registry, spec: str | Mapping[str, object]) -> None:
    assert registry.build("processor", spec) == Keep(0.25, 3)


def test_an_object_is_returned_as_it_is(registry: Registry) -> None:
    part = Keep()
    assert registry.build("processor", part) is part


def test_an_object_with_options_is_refused(registry: Registry) -> None:
    with pytest.raises(BadOption, match="a name to go with the options"):
        registry.build("processor", Keep(), share=0.1)


def test_options_from_python_are_passed_as_they_are_and_given_once(registry: Registry) -> None:
    words = ("a",)
    assert registry.build("processor", "keep=0.1", words=words).words is words
    with pytest.raises(BadOption, match="share only once"):
        registry.build("processor", "keep=0.1", share=0.2)


def test_plain_data_is_fitted_to_the_annotations(registry: Registry) -> None:
    built = registry.build("processor", {"name": "keep", "share": 1, "words": ["x", "y"]})
    assert built == Keep(1.0, words=("x", "y"))
    hash(built)


def test_text_that_looks_like_a_number_stays_text_where_text_is_wanted() -> None:
    registry = Registry()

    def prefix(text: str) -> str:
        return text

    registry.processor("prefix", prefix)
    assert registry.build("processor", "prefix=007") == "007"


def test_an_iterable_option_can_be_read_twice() -> None:
    registry = Registry()

    def words(words: Iterable[str]) -> Iterable[str]:
        return words

    registry.processor("words", words)
    assert list(registry.build("processor", 'words=["a"]')) == ["a"]
    assert isinstance(registry.build("processor", 'words=["a"]'), Sequence)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("keep=half", r"keep: share='half', but wanted float; its options: share=0.5, at_least=1"),
        ("keep=true", r"keep: share=True, but wanted float"),
        ("keep=at_least=1.5", r"keep: at_least=1.5, but wanted int"),
        ("keep=sahre=0.1", r"keep: sahre=0.1, but wanted only the options it has: share=0.5, at_least=1, words=\(\)"),
        ("keep=wanted=1", r"keep: wanted only the options it has"),
        ("keep=0", r"keep: share=0.0, but wanted a number in \(0, 1\]"),
    ],
)
def test_a_wrong_option_is_named_with_those_that_exist(registry: Registry, spec: str, message: str) -> None:
    with pytest.raises(BadOption, match=message):
        registry.build("processor", spec)


def test_an_option_without_default_has_to_be_given() -> None:
    registry = Registry()
    registry.processor("needy", lambda amount: amount)
    with pytest.raises(BadOption, match=r"a value for amount; its options: amount \(no default\)"):
        registry.build("processor", "needy")


def test_a_part_without_options_takes_no_value() -> None:
    registry = Registry()
    registry.processor("plain", lambda: "part")
    with pytest.raises(BadOption, match="has no options"):
        registry.build("processor", "plain=3")


def test_a_factory_of_any_keywords_gets_them_all() -> None:
    registry = Registry()
    registry.engine("any", lambda **options: options)
    assert registry.build("engine", "any=a=1,b=two") == {"a": 1, "b": "two"}


def test_an_unknown_name_brings_the_nearest(registry: Registry) -> None:
    with pytest.raises(UnknownPart, match=r"no processor 'kep'. Did you mean 'keep'\?"):
        registry.build("processor", "kep=0.1")


def test_an_unknown_kind_brings_the_kinds(registry: Registry) -> None:
    for ask in (lambda: registry.get("procesor", "keep"), lambda: registry.build("procesor", Keep())):
        with pytest.raises(UnknownPart, match="Did you mean 'processor'"):
            ask()


@pytest.mark.parametrize("name", ["", "Keep", "keep_it", "-keep", "keep--it", "keep=1", "9", "keep\n"])
def test_a_name_that_no_recipe_could_say_is_refused(name: str) -> None:
    with pytest.raises(BadOption, match="lower-case words"):
        Registry().processor(name, Keep)


@pytest.mark.parametrize("factory", [None, 3, "no colon", "a:b:c"])
def test_what_cannot_be_called_is_refused(factory: object) -> None:
    with pytest.raises(BadOption, match="something to call"):
        Registry().processor("part", factory)


def test_two_distributions_with_one_name_are_both_named(registry: Registry) -> None:
    with pytest.raises(NameTaken) as caught, registry.offered_by("decodeplug-other"):
        registry.processor("keep", Keep)
    assert (caught.value.first, caught.value.second) == ("decodeplug-keep", "decodeplug-other")


def test_one_name_may_serve_two_kinds(registry: Registry) -> None:
    registry.drafter("keep", Keep)
    assert registry.names("processor") == registry.names("drafter") == ["keep"]


def test_a_failed_registration_leaves_nothing_behind(registry: Registry) -> None:
    def offer_half() -> None:
        with registry.offered_by("decodeplug-half"):
            registry.processor("half", Keep)
            raise ValueError("later")

    with pytest.raises(ValueError, match="later"):
        offer_half()
    assert registry.names("processor") == ["keep"]


def test_a_factory_is_imported_when_it_is_first_needed() -> None:
    registry = Registry()
    registry.grammar("lazy", "no_such_module_of_anyone:factory")
    with registry.offered_by("decodeplug-lazy"):
        registry.processor("counter", "collections:Counter")
    assert registry.build("processor", "counter=a=2") == {"a": 2}
    with pytest.raises(
        PluginError, match="grammar 'lazy' of plugin the application failed in import of no_such_module"
    ):
        registry.build("grammar", "lazy")


def test_a_factory_that_fails_is_blamed_on_its_distribution() -> None:
    registry = Registry()
    with registry.offered_by("decodeplug-broken"):
        registry.cache("broken", lambda: 1 // 0)
    with pytest.raises(
        PluginError, match="cache 'broken' of plugin decodeplug-broken failed in its factory: ZeroDivision"
    ) as caught:
        registry.build("cache", "broken")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
