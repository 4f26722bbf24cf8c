"""Choice of the connection to close at a limit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from metallb_py.runtime.connections import Connection, Connections, Limits, Phase

LIMITS = Limits(connections=4, per_source=2, body_bytes=100)


def opened(table: Connections[Connection], source: str, now: float) -> Connection:
    connection = Connection(source, now)
    assert table.admit(connection) is None
    connection.enter(Phase.IDLE, now)
    return connection


def test_source_over_its_limit_loses_its_own_oldest_connection() -> None:
    table: Connections[Connection] = Connections(LIMITS)
    opened(table, "a", 0.0)
    mine = [opened(table, "b", 1.0), opened(table, "b", 2.0)]
    assert table.admit(Connection("b", 3.0)) is mine[0]
    assert len(table) == 3


def test_at_the_limit_the_connection_stalled_for_longest_is_closed() -> None:
    table: Connections[Connection] = Connections(LIMITS)
    slow, idle, *_ = (opened(table, source, now) for now, source in enumerate("abcd"))
    slow.enter(Phase.HEAD, 10.0)
    assert table.admit(Connection("e", 11.0)) is idle


def test_connection_whose_request_is_handled_is_not_closed() -> None:
    table: Connections[Connection] = Connections(LIMITS)
    everything = [opened(table, source, 0.0) for source in "abcd"]
    for each in everything:
        each.enter(Phase.HANDLING, 1.0)
    new = Connection("e", 11.0)
    assert table.admit(new) is new
    everything[2].enter(Phase.WRITING, 12.0)
    assert table.admit(Connection("f", 13.0)) is everything[2], "its client does not read"


def test_authenticated_connection_is_closed_last() -> None:
    table: Connections[Connection] = Connections(LIMITS)
    first, *_ = (opened(table, source, now) for now, source in enumerate("abcd"))
    first.authenticated = True
    for number in range(10):
        assert table.admit(Connection(f"x{number}", 20.0 + number)) not in (first, None)


def test_single_bytes_do_not_count_as_progress() -> None:
    table: Connections[Connection] = Connections(LIMITS)
    trickling = opened(table, "a", 0.0)
    trickling.enter(Phase.HEAD, 1.0)
    trickling.enter(Phase.BODY, 5.0)
    whole = opened(table, "b", 2.0)
    whole.enter(Phase.HEAD, 3.0)
    whole.enter(Phase.BODY, 4.0)
    assert table.receive(trickling, 50) == ()
    assert table.receive(whole, 51) == (trickling,)


def test_excess_body_is_closed_itself_while_all_others_are_handled() -> None:
    table: Connections[Connection] = Connections(LIMITS)
    first, second = opened(table, "a", 0.0), opened(table, "b", 0.0)
    table.receive(first, 90)
    first.enter(Phase.HANDLING, 1.0)
    second.enter(Phase.BODY, 2.0)
    assert table.receive(second, 90) == (second,)
    table.release(first)
    third = opened(table, "c", 3.0)
    assert table.receive(third, 100) == ()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["open", "close", "head", "body", "handle", "write", "idle"]),
            st.integers(0, 6),
            st.integers(0, 120),
        ),
        max_size=80,
    )
)
def test_connection_limits_hold_after_any_sequence_of_steps(
    steps: list[tuple[str, int, int]],
) -> None:
    table: Connections[Connection] = Connections(LIMITS)
    open_now: list[Connection] = []
    phases = {
        "head": Phase.HEAD,
        "handle": Phase.HANDLING,
        "write": Phase.WRITING,
        "idle": Phase.IDLE,
    }

    def evict(*victims: Connection | None) -> None:
        for victim in victims:
            if victim is not None:
                assert victim.phase is not Phase.HANDLING
                open_now.remove(victim)

    for now, (step, index, count) in enumerate(steps):
        chosen = open_now[index % len(open_now)] if open_now else None
        if step == "open":
            new = Connection("ab"[index % 2] if index < 4 else str(index), float(now))
            open_now.append(new)
            evict(table.admit(new))
        elif chosen is None:
            continue
        elif step == "close":
            table.closed(chosen)
            open_now.remove(chosen)
        elif step == "body":
            chosen.enter(Phase.BODY, float(now))
            evict(*table.receive(chosen, count))
        else:
            chosen.enter(phases[step], float(now))
        assert len(table) == len(open_now) <= LIMITS.connections
        assert all(each in table for each in open_now)
        assert sum(each.body_bytes for each in open_now) <= LIMITS.body_bytes
        for source in {each.source for each in open_now}:
            assert sum(each.source == source for each in open_now) <= LIMITS.per_source
