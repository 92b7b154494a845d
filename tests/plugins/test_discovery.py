"""Which plugins a host has, and what becomes of one that fails."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Callable

import pytest

from decodeplug.discovery import Plugins, PluginWarning
from decodeplug.errors import BadOption, DecodeplugError, NameTaken, PluginError, UnknownPart
from decodeplug.hookspecs import hookimpl
from decodeplug.registry import Registry

Install = Callable[..., None]

OFFERS = """
from decodeplug.plugin import hookimpl

@hookimpl
def decodeplug_register(registry):
    registry.drafter("{name}", dict)
"""
FAILS_AT_IMPORT = "raise RuntimeError('no such luck')"
LEAVES_AT_IMPORT = "import sys; sys.exit('bye')"
FAILS_HALFWAY = OFFERS.format(name="half") + "    raise RuntimeError('no such luck')\n"
OFFERS_A_BAD_NAME = OFFERS.format(name="half") + "    registry.drafter('Not A Name', dict)\n"
SLIP_OF_THE_PEN = OFFERS.format(name="half") + "\n@hookimpl\ndef decodeplug_registre(registry): ...\n"
WRONG_PARAMETER = "from decodeplug.plugin import hookimpl\n\n@hookimpl\ndef decodeplug_register(registery): ...\n"


@pytest.fixture
def three(install: Install) -> None:
    """Three plugins, ``decodeplug-ash``, ``-birch`` and ``-cedar``, each with a drafter of its name."""
    for name in ("ash", "birch", "cedar"):
        install(f"decodeplug-{name}", OFFERS.format(name=name), version="2.5")


def loaded(plugins: Plugins) -> list[str]:
    return [source.name for source in plugins.loaded if source.name in ("ash", "birch", "cedar")]


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (None, ["ash", "birch", "cedar"]),
        ("all", ["ash", "birch", "cedar"]),
        ("none", []),
        ([], []),
        ("birch", ["birch"]),
        (["cedar", "decodeplug-ash", "ash"], ["cedar", "ash"]),
        (["-decodeplug-birch"], ["ash", "cedar"]),
        (["-ash", "-cedar"], ["birch"]),
        (["ash", "birch", "-ash"], ["birch"]),
        (["builtin", "ash"], ["ash"]),
    ],
)
def test_a_selection_loads_what_it_says_and_always_the_built_in_parts(selection: object, names: list[str]) -> None:
    plugins = Plugins.load(selection)  # pyright: ignore[reportArgumentType]  # parametrised
    assert loaded(plugins) == names
    assert plugins.loaded[0].module == "decodeplug.builtin"
    assert plugins.registry.get("processor", "top-p").distribution == "decodeplug"
    assert [name for name in plugins.registry.names("drafter") if name in ("ash", "birch", "cedar")] == sorted(names)


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("name", ["decodeplug-ahs", "-decodeplug-ahs"])
def test_an_unknown_plugin_is_refused_with_the_nearest_names(name: str) -> None:
    with pytest.raises(UnknownPart, match=r"no plugin 'decodeplug-ahs'\. Did you mean 'decodeplug-ash'"):
        Plugins.load([name])


@pytest.mark.parametrize("name", ["-decodeplug", "-builtin"])
def test_the_built_in_parts_cannot_be_left_out(name: str) -> None:
    with pytest.raises(BadOption, match="the built-in parts are always loaded"):
        Plugins.load([name])


@pytest.mark.usefixtures("three")
def test_an_offer_carries_the_distribution_and_its_version() -> None:
    offer = Plugins.load().registry.get("drafter", "ash")
    assert (offer.distribution, offer.version) == ("decodeplug-ash", "2.5")


@pytest.mark.usefixtures("three")
def test_an_installed_plugin_given_as_a_module_keeps_its_distribution() -> None:
    import decodeplug_ash  # pyright: ignore[reportMissingImports]  # the fixture wrote it

    plugins = Plugins.load([decodeplug_ash, "ash"])
    assert loaded(plugins) == ["ash"]
    assert plugins.registry.get("drafter", "ash").distribution == "decodeplug-ash"


class Birdsong:
    @hookimpl
    def decodeplug_register(self, registry: Registry) -> None:
        registry.drafter("birdsong", dict)


def test_an_object_is_a_plugin_and_is_named_by_its_class() -> None:
    plugins = Plugins.load([Birdsong()])
    assert plugins.registry.get("drafter", "birdsong").distribution.endswith("Birdsong")


def test_a_module_that_is_not_installed_is_a_plugin() -> None:
    module = types.ModuleType("my_parts")
    module.decodeplug_register = hookimpl(lambda registry: registry.cache("mine", dict))  # pyright: ignore[reportAttributeAccessIssue]
    assert Plugins.load([module]).registry.get("cache", "mine").distribution == "my_parts"


@pytest.mark.parametrize(
    ("source", "doing"),
    [
        (FAILS_AT_IMPORT, "import of decodeplug_broken: RuntimeError: no such luck"),
        (LEAVES_AT_IMPORT, "import of decodeplug_broken: SystemExit: bye"),
        (FAILS_HALFWAY, "decodeplug_register: RuntimeError: no such luck"),
        (OFFERS_A_BAD_NAME, "decodeplug_register: BadOption"),
        (SLIP_OF_THE_PEN, "declaration of its hooks: .*decodeplug_registre"),
        (WRONG_PARAMETER, "declaration of its hooks: .*registery"),
    ],
)
def test_a_plugin_that_fails_is_named_and_the_rest_works(install: Install, source: str, doing: str) -> None:
    install("decodeplug-broken", source)
    install("decodeplug-whole", OFFERS.format(name="whole"))
    with pytest.warns(PluginWarning, match=rf"(?s)decodeplug-broken is left out. .*{doing}"):
        plugins = Plugins.load()
    [(distribution, error)] = [failure for failure in plugins.failures if failure[0] == "decodeplug-broken"]
    assert isinstance(error, PluginError)
    assert error.plugin == distribution == "decodeplug-broken"
    assert "half" not in plugins.registry.names("drafter")
    assert "whole" in plugins.registry.names("drafter")


def test_a_plugin_that_failed_hears_no_events(install: Install) -> None:
    install("decodeplug-broken", FAILS_HALFWAY + "\n@hookimpl\ndef decodeplug_step(step): raise AssertionError\n")
    with pytest.warns(PluginWarning, match="decodeplug-broken"):
        plugins = Plugins.load(["broken"])
    assert not plugins.implements("decodeplug_step")


def test_a_name_clash_names_both_distributions_and_the_way_out_works(install: Install) -> None:
    install("decodeplug-first", OFFERS.format(name="tree"))
    install("decodeplug-second", OFFERS.format(name="tree"))
    with pytest.raises(NameTaken, match="decodeplug-first and by decodeplug-second") as caught:
        Plugins.load()
    assert f"plugins=['-{caught.value.second}']" in str(caught.value)
    assert Plugins.load([f"-{caught.value.second}"]).registry.get("drafter", "tree").distribution == "decodeplug-first"


def test_a_clash_with_a_built_in_part_is_a_clash(install: Install) -> None:
    install("decodeplug-mine", OFFERS.format(name="lookup"))
    with pytest.raises(NameTaken, match="'lookup' is offered by decodeplug and by decodeplug-mine"):
        Plugins.load()


@pytest.mark.usefixtures("three")
def test_two_hosts_share_no_plugins() -> None:
    one, other = Plugins.load(["ash"]), Plugins.load(["birch", Birdsong()])
    assert "ash" not in other.registry.names("drafter")
    assert "birdsong" not in one.registry.names("drafter")


def in_a_fresh_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_built_in_parts_are_there_without_package_metadata() -> None:
    code = """
import importlib.metadata as metadata
metadata.entry_points = lambda **group: metadata.EntryPoints(())
from decodeplug.discovery import Plugins
print("top-p" in Plugins.load().registry.names("processor"))
"""
    assert in_a_fresh_process(code) == "True"


def test_what_plugins_import_loads_neither_transformers_nor_a_part() -> None:
    code = """
import sys
import decodeplug.plugin
heavy = [name for name in sys.modules if name.split(".")[0] in ("transformers", "llguidance", "pydantic", "jsonschema", "rich")]
parts = [name for name in sys.modules if name.startswith(("decodeplug.processors", "decodeplug.drafters", "decodeplug.host"))]
print(heavy, parts)
"""
    assert in_a_fresh_process(code) == "[] []"


def test_loading_the_built_in_parts_imports_no_torch() -> None:
    code = "import sys; from decodeplug.discovery import Plugins; Plugins.load('none'); print('torch' in sys.modules)"
    assert in_a_fresh_process(code) == "False"


def test_the_stable_surface_is_what_it_says() -> None:
    from decodeplug import errors, plugin

    assert sorted(plugin.__all__) == sorted(name for name in vars(plugin) if not name.startswith("_"))
    ours = {name for name in errors.__all__ if issubclass(getattr(errors, name), DecodeplugError)}
    assert ours <= set(plugin.__all__)
