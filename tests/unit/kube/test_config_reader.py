"""Configuration in force, from the ConfigMap and the state that the controller stored."""

from __future__ import annotations

import pytest
from support.kube.config_states import state_objects

from metallb_py.config.draining import draining, encode_pools
from metallb_py.kube.config_state import StateNames, Stored
from metallb_py.kube.configmap import (
    DRAINING,
    LAST_GOOD,
    ConfigReader,
    Inputs,
    Update,
    config_resource,
    read,
    version_of,
)
from metallb_py.kube.objects import ConfigMap, ObjectMeta
from metallb_py.model.config import Config

GOOD = "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24]}]"
OTHER = "address-pools: [{name: b, protocol: layer2, addresses: [10.1.0.0/24]}]"
BAD = "address-pools: [{name: a}]"
NAMES = StateNames("metallb-system", "config")
OF_GOOD = encode_pools(draining(pool) for pool in (read(GOOD).config or Config()).pools)


def configmap(
    text: str | None,
    data: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    binary: dict[str, str] | None = None,
) -> ConfigMap:
    meta = ObjectMeta("config", "metallb-system", annotations=annotations)
    return ConfigMap(meta, data if text is None else {"config": text}, binary)


class Daemon:
    """A reader with a daemon's sequence of calls."""

    def __init__(self, *, follow_state: bool = False) -> None:
        self.reader = ConfigReader("metallb-system", "config", follow_state=follow_state)

    def start(self, item: ConfigMap | None, stored: Stored | None = None) -> Update:
        self.reader.configmap_changed(item)
        self.reader.configmap_synced()
        assert self.reader.next() is None, "the state is not known yet"
        self.store(stored)
        self.reader.state_synced()
        update = self.update()
        assert update is not None
        return update

    def store(self, stored: Stored | None) -> None:
        for name, item in state_objects(NAMES, stored).items():
            assert self.reader.state_changed(name, item) == ""

    def update(self, *, mark_applied: bool = True) -> Update | None:
        inputs = self.reader.next()
        if inputs is None:
            return None
        update = inputs.read()
        if mark_applied and update.in_force() is not None:
            self.reader.mark_in_force()
        return update


def pools(update: Update | None) -> list[str]:
    assert update is not None
    config = update.in_force()
    assert config is not None
    return [pool.name for pool in config.pools]


@pytest.mark.parametrize("follow_state", [True, False])
def test_configmap_text_is_read_once(follow_state: bool) -> None:
    daemon = Daemon(follow_state=follow_state)
    assert pools(daemon.start(configmap(GOOD))) == ["a"]
    assert daemon.update() is None
    daemon.store(Stored(GOOD))
    assert daemon.update() is None, "the stored text is the one in force"
    daemon.reader.configmap_changed(configmap(BAD))
    update = daemon.update()
    assert update is not None
    assert (update.in_force(), update.last_good) == (None, None)
    daemon.reader.configmap_changed(configmap(GOOD))
    assert pools(daemon.update()) == ["a"]


def test_at_start_a_valid_text_is_in_force_and_stored_pools_drain() -> None:
    update = Daemon().start(configmap(OTHER), Stored(GOOD))
    assert update.latest is not None
    assert update.latest.config == read(OTHER).config
    assert update.last_good == read(GOOD)
    assert pools(update) == ["b", "a (draining)"]


@pytest.mark.parametrize("item", [None, configmap(BAD), configmap(None, {"config.yaml": GOOD})])
def test_at_start_without_a_valid_text_the_stored_one_is_in_force(
    item: ConfigMap | None,
) -> None:
    daemon = Daemon(follow_state=True)
    update = daemon.start(item, Stored(GOOD, encode_pools([])))
    assert pools(update) == ["a"]
    daemon.reader.configmap_changed(configmap(OTHER))
    assert pools(daemon.update()) == ["b"], "later edits apply as usual"


def test_invalid_stored_text_is_ignored_and_reported() -> None:
    update = Daemon().start(configmap(GOOD), Stored(BAD, "x"))
    assert pools(update) == ["a"]
    assert "the stored text is not a valid configuration" in update.problem
    update = Daemon().start(configmap(GOOD), Stored(None, "x"))
    assert "draining-pools" in update.problem


def test_speakers_follow_the_draining_pools() -> None:
    daemon = Daemon(follow_state=True)
    daemon.start(configmap(OTHER))
    daemon.store(Stored(OTHER, OF_GOOD))
    assert pools(daemon.update()) == ["b", "a (draining)"]
    daemon.store(Stored(OTHER))
    assert pools(daemon.update()) == ["b"]


def test_controller_does_not_follow_the_state_that_it_writes() -> None:
    daemon = Daemon()
    daemon.start(configmap(OTHER))
    daemon.store(Stored(OTHER, OF_GOOD, "x"))
    assert daemon.update() is None


def test_speakers_keep_the_stored_text_while_the_new_one_is_refused() -> None:
    stored = Stored(GOOD, refused=version_of(OTHER))
    daemon = Daemon(follow_state=True)
    update = daemon.start(configmap(OTHER), stored)
    assert update.refused
    assert pools(update) == ["a", "b (draining)"]
    daemon.store(Stored(OTHER))
    update = daemon.update()
    assert update is not None
    assert not update.refused
    assert pools(update) == ["b"]


def test_state_damaged_later_leaves_the_last_read_one_in_force() -> None:
    daemon = Daemon(follow_state=True)
    daemon.start(configmap(OTHER), Stored(OTHER, OF_GOOD))
    (index,) = state_objects(NAMES, Stored(OTHER)).values()
    damaged = ConfigMap(index.metadata, {**(index.data or {}), "sha256": "0"}, index.binary_data)
    assert "SHA-256" in daemon.reader.state_changed(NAMES.index, damaged)
    assert daemon.update() is None


def test_annotations_of_an_earlier_version_are_read_without_stored_state() -> None:
    annotations = {LAST_GOOD: GOOD, DRAINING: OF_GOOD}
    update = Daemon().start(configmap(BAD, annotations=annotations))
    assert pools(update) == ["a", "a (draining)"]
    update = Daemon().start(configmap(BAD, annotations=annotations), Stored(OTHER))
    assert pools(update) == ["b"]
    update = Daemon().start(configmap(BAD, annotations={DRAINING: OF_GOOD}))
    assert update.in_force() is None, "a text that was never stored is not an empty one"


@pytest.mark.parametrize("item", [configmap(None), configmap(None, {}), configmap("")])
def test_a_configmap_without_data_is_an_empty_configuration(item: ConfigMap) -> None:
    update = Inputs(item, None).read()
    assert update.latest is not None
    assert update.latest.config == Config()


@pytest.mark.parametrize(
    ("item", "found"),
    [
        (configmap(None, {"config.yaml": GOOD}), 'the keys "config.yaml": want the key "config"'),
        (configmap(None, {"Config": GOOD, "a": ""}), 'the keys "Config", "a": want'),
        (configmap(None, {f"k{n}": "" for n in range(7)}), '"k4" and 2 more: want'),
        (configmap(None, binary={"config": "eA=="}), '"config" (in binaryData): want'),
    ],
)
def test_configmap_key_of_another_name_is_a_problem_not_empty_config(
    item: ConfigMap, found: str
) -> None:
    latest = Inputs(item, None).read().latest
    assert latest is not None
    assert latest.config is None
    assert found in str(latest.problems[0])


def test_watch_selects_one_configmap_by_name_and_the_state_by_label() -> None:
    resource = config_resource("metallb-system", "config")
    assert resource.path == "/api/v1/namespaces/metallb-system/configmaps"
    assert resource.selectors == {"fieldSelector": "metadata.name=config"}
    assert NAMES.resource.selectors == {"labelSelector": "metallb.universe.tf/config-state=config"}


def test_compiler_exception_is_a_problem_of_the_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(text: str, **_: object) -> Config:
        raise ZeroDivisionError(text)

    monkeypatch.setattr("metallb_py.kube.configmap.read_config", failing)
    parsed = read("password: hunter2")
    assert parsed.config is None
    (problem,) = parsed.problems
    assert "internal error, please report it: ZeroDivisionError in test_config_reader.py:" in str(
        problem
    )
    assert "hunter2" not in str(problem)
