"""Which texts a daemon deals with as its ConfigMap changes, and what is written back."""

from __future__ import annotations

import json

import pytest

from metallb_py.config.draining import draining, encode_pools
from metallb_py.config.model import Config
from metallb_py.kube.configmap import (
    DRAINING,
    LAST_GOOD,
    STATUS,
    ConfigReader,
    ConfigState,
    Reading,
    config_in_force,
    config_resource,
    draining_pools,
    read,
)
from metallb_py.kube.objects import ConfigMap, ObjectMeta

GOOD = "address-pools: [{name: a, protocol: layer2, addresses: [10.0.0.0/24]}]"
OTHER = "address-pools: [{name: b, protocol: layer2, addresses: [10.1.0.0/24]}]"
BAD = "address-pools: [{name: a}]"


def status(
    in_force: Reading, latest: Reading, refusal: tuple[str, ...], time: str
) -> dict[str, object]:
    annotations = ConfigState(in_force, latest, refusal).annotations(time)
    assert annotations[LAST_GOOD] == in_force.text
    assert annotations[DRAINING] is None
    said: dict[str, object] = json.loads(annotations[STATUS] or "")
    return said


def configmap(text: str | None, last_good: str | None = None) -> ConfigMap:
    annotations = None if last_good is None else {LAST_GOOD: last_good}
    meta = ObjectMeta("config", "metallb-system", annotations=annotations)
    return ConfigMap(meta, None if text is None else {"config": text})


def texts(readings: tuple[Reading, ...]) -> list[str]:
    return [reading.text for reading in readings]


def test_a_text_is_dealt_with_once() -> None:
    reader = ConfigReader()
    assert texts(reader.changed(configmap(GOOD))) == [GOOD]
    assert reader.changed(configmap(GOOD, last_good=GOOD)) == ()
    assert texts(reader.changed(configmap(BAD, last_good=GOOD))) == [BAD]
    assert reader.changed(configmap(BAD, last_good=GOOD)) == ()
    assert texts(reader.changed(configmap(GOOD))) == [GOOD]


def test_a_start_with_a_bad_text_begins_with_the_last_good_one() -> None:
    first, second = ConfigReader().changed(configmap(BAD, last_good=GOOD))
    assert first.config is not None
    assert first.config.pools[0].name == "a"
    assert second.config is None
    assert second.problems


def test_a_start_goes_through_the_same_steps_as_a_change() -> None:
    assert texts(ConfigReader().changed(configmap(OTHER, last_good=GOOD))) == [GOOD, OTHER]


def test_a_last_good_text_that_is_not_good_is_nothing() -> None:
    assert texts(ConfigReader().changed(configmap(GOOD, last_good=BAD))) == [GOOD]


def test_a_missing_key_is_an_empty_configuration() -> None:
    (reading,) = ConfigReader().changed(configmap(None))
    assert reading.config == Config()


def test_the_status_says_what_is_in_force_and_what_is_wrong() -> None:
    good, bad = read(GOOD), read(BAD)
    said = status(good, bad, (), "2026-01-01T00:00:00Z")
    assert said["state"] == "refused"
    assert said["inForce"] == good.version
    assert said["latest"] == bad.version
    assert len(bad.problems) == 2
    assert said["problems"] == [str(problem) for problem in bad.problems]
    assert said["time"] == "2026-01-01T00:00:00Z"
    said = status(good, good, (), "now")
    assert (said["state"], said["problems"]) == ("applied", [])
    said = status(good, read(OTHER), (), "now")
    assert (said["state"], said["problems"]) == ("pending", [])
    said = status(good, read(OTHER), ("in the way",), "now")
    assert (said["state"], said["problems"]) == ("refused", ["in the way"])


def test_only_the_one_configmap_is_watched() -> None:
    resource = config_resource("metallb-system", "config")
    assert resource.path == "/api/v1/namespaces/metallb-system/configmaps"
    assert resource.selectors == {"fieldSelector": "metadata.name=config"}


def test_speakers_read_the_draining_pools_as_a_part_of_the_configuration() -> None:
    reader = ConfigReader(with_draining=True)
    old = read(GOOD).config
    assert old is not None
    text = encode_pools(map(draining, old.pools))
    reader.changed(configmap(OTHER))
    meta = ObjectMeta("config", "metallb-system", annotations={DRAINING: text})
    (reading,) = reader.changed(ConfigMap(meta, {"config": OTHER}))
    assert reading.config is not None
    assert [pool.name for pool in reading.config.pools] == ["b", "a (draining)"]
    assert reader.changed(ConfigMap(meta, {"config": OTHER})) == ()
    (reading,) = reader.changed(configmap(OTHER))
    assert reading.config is not None
    assert [pool.name for pool in reading.config.pools] == ["b"]


def test_an_annotation_that_is_not_ours_drains_nothing() -> None:
    meta = ObjectMeta("config", "metallb-system", annotations={DRAINING: "x"})
    assert draining_pools(ConfigMap(meta)) == ()


def test_what_is_in_force_is_what_the_controller_says() -> None:
    assert config_in_force(configmap(GOOD)) == read(GOOD).config
    assert config_in_force(configmap(OTHER, last_good=GOOD)) == read(GOOD).config
    assert config_in_force(configmap(BAD)) == Config()
    (old,) = (read(OTHER).config or Config()).pools
    drained = draining(old)
    item = configmap(GOOD)
    notes = {DRAINING: encode_pools([drained])}
    meta = ObjectMeta("config", "metallb-system", annotations=notes)
    found = config_in_force(ConfigMap(meta, item.data))
    assert [pool.name for pool in found.pools] == ["a", drained.name]


def test_an_exception_of_the_compiler_is_a_problem_of_that_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(text: str, **_: object) -> Config:
        raise ZeroDivisionError(text)

    monkeypatch.setattr("metallb_py.kube.configmap.read_config", failing)
    reading = read("password: hunter2")
    assert reading.config is None
    (problem,) = reading.problems
    assert "internal error, please report it: ZeroDivisionError in test_config_reader.py:" in str(
        problem
    )
    assert "hunter2" not in str(problem)
