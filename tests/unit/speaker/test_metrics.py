"""Metrics page of the speaker."""

from __future__ import annotations

from support.net.metrics_page import samples

from speaker.metrics import BfdMetrics, PasswordMetrics, SpeakerMetrics


def test_metric_names_without_a_suffix_are_metallbs() -> None:
    metrics = SpeakerMetrics()
    metrics.layer2_requests.add(2, "192.0.2.1")
    metrics.layer2_responses.add(1, "192.0.2.1")
    metrics.layer2_gratuitous.add(10, "192.0.2.1")
    metrics.layer2_dropped.labels("Checksum").inc(3)
    found = samples(metrics)
    assert found["metallb_layer2_requests_received", ("192.0.2.1",)] == 2
    assert found["metallb_layer2_responses_sent", ("192.0.2.1",)] == 1
    assert found["metallb_layer2_gratuitous_sent", ("192.0.2.1",)] == 10
    assert found["metallb_layer2_dropped_total", ("Checksum",)] == 3


def test_announced_series_are_set_and_cleared() -> None:
    metrics = SpeakerMetrics()
    where = ("default/web", "layer2", "node1")
    metrics.set_announced(*where, ["192.0.2.1", "192.0.2.2"])
    key = "metallb_speaker_announced"
    assert sum(name == key for name, _ in samples(metrics)) == 2
    metrics.clear_announced(*where, ["192.0.2.1"])
    (left,) = (labels for name, labels in samples(metrics) if name == key)
    assert left == ("192.0.2.2", "node1", "layer2", "default/web")


def test_series_of_a_removed_peer_are_dropped() -> None:
    metrics = SpeakerMetrics()
    metrics.bgp_session_up.labels("10.0.0.1:179").set(1)
    metrics.bgp_updates.labels("10.0.0.1:179").inc(3)
    assert samples(metrics)["metallb_bgp_updates_total", ("10.0.0.1:179",)] == 3
    metrics.forget_peer("10.0.0.1:179")
    assert not [name for name, _ in samples(metrics) if name.startswith("metallb_bgp")]


def test_bfd_metrics_have_metallbs_names() -> None:
    metrics = SpeakerMetrics()
    bfd = BfdMetrics(metrics)
    bfd.show_peer("10.0.0.1")
    names = ("control_in", "control_out", "echo_in", "echo_out", "ups", "downs")
    before = dict.fromkeys(names, 1)
    bfd.count("10.0.0.1", before, {name: number for number, name in enumerate(names, 2)})
    bfd.session_up.labels("10.0.0.1").set(1)

    found = {name: value for (name, _), value in samples(metrics).items() if "_bfd_" in name}
    assert found == {
        "metallb_bfd_session_up": 1,
        "metallb_bfd_control_packet_input": 1,
        "metallb_bfd_control_packet_output": 2,
        "metallb_bfd_echo_packet_input": 3,
        "metallb_bfd_echo_packet_output": 4,
        "metallb_bfd_session_up_events": 5,
        "metallb_bfd_session_down_events": 6,
    }
    bfd.forget_peer("10.0.0.1")
    assert not [name for name, _ in samples(metrics) if "_bfd_" in name]


def test_password_missing_series_follow_the_waiting_peers() -> None:
    speaker = SpeakerMetrics()
    shown = PasswordMetrics(speaker)
    shown.show_waiting({"a:179", "b:179"})
    shown.show_waiting({"b:179"})
    page = speaker.render()[0]
    assert b'metallb_bgp_password_missing{peer="b:179"} 1.0' in page
    assert b"a:179" not in page
