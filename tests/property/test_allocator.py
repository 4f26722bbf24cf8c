"""The allocator, compared with an exhaustive model for any sequence of operations."""

from __future__ import annotations

from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.kube.allocation_model import Addresses, Model, allocatable_addresses
from support.kube.assignment import allocate
from support.kube.objects import pool

from controller.allocator import Allocator
from controller.orphaned_addresses import pools_to_drain
from controller.requests import ServiceRequest, SharingTerms
from metallb_py.addresses import AddressFamily
from metallb_py.errors import AllocationError
from metallb_py.model.config import Pool

CONFIGS: tuple[tuple[Pool, ...], ...] = (
    (
        pool("a", "192.0.2.0/30", "2001:db8::/126"),
        pool("b", "198.51.100.254/31", "198.51.101.0/31", avoid_buggy_ips=True),
        pool("c", "192.0.2.8/31", "2001:db8::8/127", auto_assign=False),
    ),
    (
        pool("b", "198.51.100.252/30", "2001:db8::2/127"),
        pool("a", "192.0.2.0/31", "2001:db8::/127", avoid_buggy_ips=True),
    ),
    (pool("a", "2001:db8::8/126", "192.0.2.8/30", "192.0.2.0/31"),),
)
EVERY_ADDRESS = sorted(
    {a for pools in CONFIGS for p in pools for a in allocatable_addresses(p)}, key=str
)
keys = st.sampled_from([f"default/s{number}" for number in range(8)])
terms = st.builds(
    SharingTerms,
    st.sampled_from(["", "k", "l"]),
    st.sampled_from(["", "app=web"]),
    st.frozensets(st.sampled_from([("TCP", 80), ("TCP", 53), ("UDP", 53)]), min_size=1),
)
families = st.sampled_from(
    [
        (AddressFamily.IPV4,),
        (AddressFamily.IPV6,),
        (AddressFamily.IPV4, AddressFamily.IPV6),
        (AddressFamily.IPV6, AddressFamily.IPV4),
    ]
)
requests = st.builds(
    ServiceRequest,
    families,
    st.booleans(),
    pool=st.sampled_from(["", "", "a", "b", "c", "a (draining)"]),
    terms=terms,
)
given_addresses = st.lists(
    st.sampled_from(EVERY_ADDRESS), min_size=1, max_size=2, unique_by=lambda a: a.version
).map(tuple)


class AllocatorMachine(RuleBasedStateMachine):
    """The allocator and the model, with the same operations applied to both."""

    def __init__(self) -> None:
        super().__init__()
        self.allocator = Allocator()
        self.model = Model()

    @initialize(pools=st.sampled_from(CONFIGS))
    def start(self, pools: tuple[Pool, ...]) -> None:
        self.use(pools)

    @rule(key=keys, request=requests)
    def allocate(self, key: str, request: ServiceRequest) -> None:
        self.release(key)
        expected = self.model.choice(key, request)
        try:
            held = allocate(self.allocator, key, request)
        except AllocationError:
            assert not expected
            return
        assert held.addresses == expected
        self.model.held[key] = (expected, request.terms)

    @rule(key=keys, addresses=given_addresses, wanted=terms)
    def assign(self, key: str, addresses: Addresses, wanted: SharingTerms) -> None:
        allowed = self.model.owner(addresses) is not None and all(
            self.model.may_have(key, address, wanted) for address in addresses
        )
        try:
            self.allocator.assign(key, addresses, wanted)
        except AllocationError:
            assert not allowed
            return
        assert allowed
        self.model.held[key] = (addresses, wanted)

    @rule(key=keys)
    def release(self, key: str) -> None:
        assert self.allocator.release(key) == (key in self.model.held)
        self.model.held.pop(key, None)

    @rule(pools=st.sampled_from(CONFIGS), drains=st.booleans())
    def change_pools(self, pools: tuple[Pool, ...], drains: bool) -> None:
        already = tuple(p for p in self.model.pools if p.draining) if drains else ()
        then = Model((*pools, *already))
        expected = [k for k, (had, _) in self.model.held.items() if then.owner(had) is None]
        misfits = self.allocator.misfits(then.pools)
        assert [key for key, _ in misfits] == sorted(expected)
        if drains:
            orphans = [held for _, held in misfits]
            self.use((*pools, *pools_to_drain(self.model.pools, orphans, already)))
        else:
            for key in expected:
                self.release(key)
            self.use(pools)

    @rule(shuffle=st.randoms())
    def rebuild(self, shuffle: Random) -> None:
        """Rebuild the allocator from the holdings in any order; its state must be the same."""
        self.allocator = Allocator()
        self.allocator.set_pools(self.model.pools)
        order = list(self.model.held)
        shuffle.shuffle(order)
        for key in order:
            self.allocator.assign(key, *self.model.held[key])

    @invariant()
    def state_equals_the_model(self) -> None:
        self.model.assert_legal()
        for key, (addresses, agreed) in self.model.held.items():
            held = self.allocator.held(key)
            assert held is not None
            assert (held.addresses, held.terms) == (addresses, agreed)
            assert held.pool == self.model.owner(addresses)
        assert len(list(self.allocator.holdings())) == len(self.model.held)
        usage = self.allocator.usage()
        counted = {
            (name, family): (each.total, each.in_use)
            for name, families in usage.items()
            for family, each in families.items()
        }
        assert counted == self.model.usage()

    def use(self, pools: tuple[Pool, ...]) -> None:
        self.allocator.set_pools(pools)
        self.model.pools = pools


TestAllocatorMachine = AllocatorMachine.TestCase
TestAllocatorMachine.settings = settings(max_examples=100, stateful_step_count=40)
