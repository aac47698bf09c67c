"""The tree of blocks: what is refused and why, which branch is chosen, what is final."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain import blockchain, work
from chain.blockchain import KEPT_BELOW_FINAL, MAX_EARLY, MAX_ORPHANS, PRUNE_EVERY, Blockchain
from chain.blocks import Block, Commitment, Header, merkle_root
from chain.errors import (
    BadHeight,
    BadParent,
    BadRoot,
    BadStateDigest,
    BadTarget,
    BadTime,
    BadTransaction,
    BadVersion,
    BadWork,
    BlockTooLarge,
    ConflictingFinality,
)
from chain.schema import Address, Hash
from chain.transactions import Signed, Transfer, sign
from chain.tree import Kind
from tests.chain.growing import (
    EASY,
    GENESIS,
    MINER,
    NOW,
    POOR,
    RICH,
    START,
    VALIDATORS,
    block_on,
    extend,
    finalise,
    forged,
    mined,
    signed,
    transfer,
    votes,
)


@pytest.fixture
def chain() -> Blockchain:
    return Blockchain(GENESIS, EASY)


@pytest.fixture
def good(chain: Blockchain) -> Block:
    """A valid block with two transactions, not yet added, on a block with one."""
    parent = extend(chain, chain.head, [transfer(chain)])
    return block_on(chain, parent, [transfer(chain, 1), transfer(chain, 2)])


def refused(chain: Blockchain, block: Block, error: type[Exception]) -> Exception:
    """The block is refused with this error and nothing else changes."""
    before = chain.head
    digest = before.state.digest
    result = chain.add(block, NOW)
    assert (result.kind, type(result.reason)) == (Kind.INVALID, error), result.reason
    assert chain.head is before
    assert chain.head.state.digest == digest
    assert chain.entry(block.id) is None
    assert str(result.reason)
    return result.reason


class TestForgedHeader:
    def test_the_block_itself_is_fine(self, chain, good):
        assert chain.add(good, NOW).kind is Kind.NEW_HEAD

    def test_version(self, chain, good):
        refused(chain, forged(good, version=2), BadVersion)

    def test_parent_that_is_another_block(self, chain, good):
        refused(chain, forged(good, parent=chain.genesis_id), BadHeight)

    def test_parent_that_nobody_knows_is_waited_for_and_changes_nothing(self, chain, good):
        before = chain.head
        assert chain.add(forged(good, parent=Hash("1" * 64)), NOW).kind is Kind.ORPHAN
        assert chain.head is before

    def test_root(self, chain, good):
        refused(chain, forged(good, root=Hash("2" * 64)), BadRoot)

    @pytest.mark.parametrize("back", [0, 1, 10_000])
    def test_time_not_after_the_parents(self, chain, good, back):
        refused(chain, forged(good, time=chain.head.time - back), BadTime)

    @pytest.mark.parametrize("target", [0x1F3FFFFF, 0x2000FFFF])
    def test_target(self, chain, good, target):
        refused(chain, forged(good, target=target), BadTarget)

    def test_target_that_is_none(self, chain, good):
        refused(chain, replace(good, header=replace(good.header, target=0)), BadTarget)

    def test_nonce_without_the_work(self, chain, good):
        nonce = next(n for n in range(10**6) if not work.meets(replace(good.header, nonce=n)))
        refused(chain, replace(good, header=replace(good.header, nonce=nonce)), BadWork)


class TestForgedBody:
    @pytest.mark.parametrize("height", [0, 1, 3])
    def test_height(self, chain, good, height):
        refused(chain, forged(good, commitment={"height": height}), BadHeight)

    def test_state_digest_as_an_adoption_without_quorum_shows(self, chain, good):
        error = refused(chain, forged(good, commitment={"state": Hash("3" * 64)}), BadStateDigest)
        assert "3" * 64 in str(error)

    def test_state_digest_of_the_parent(self, chain, good):
        refused(chain, forged(good, commitment={"state": chain.head.state.digest}), BadStateDigest)

    def test_transaction_left_out_but_in_the_state(self, chain, good):
        refused(chain, forged(good, transactions=good.transactions[:1]), BadStateDigest)

    @pytest.mark.parametrize(
        "changed", [{"height": 9}, {"miner": Address("0x" + "cd" * 20)}, {"state": Hash("4" * 64)}]
    )
    def test_commitment_that_the_root_does_not_hold(self, chain, good, changed):
        refused(chain, forged(good, commitment=changed, root=good.header.root), BadRoot)

    def test_transactions_that_the_root_does_not_hold(self, chain, good):
        first, second = good.transactions
        for body in ((first,), (second, first), (first, second, second), ()):
            refused(chain, forged(good, transactions=body, root=good.header.root), BadRoot)

    def test_a_wrong_body_does_not_condemn_the_header(self, chain, good):
        refused(chain, replace(good, transactions=good.transactions[:1]), BadRoot)
        assert chain.add(good, NOW).kind is Kind.NEW_HEAD

    def test_signature_by_another_than_the_sender(self, chain, good):
        body = good.transactions[0].body
        other = sign(replace(body, sender=POOR.address), POOR)
        forgery = Signed(body, other.signature)
        error = refused(chain, forged(good, transactions=[forgery]), BadTransaction)
        assert error.cause.code == "invalid_signature"

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            (lambda b: replace(b, genesis=Hash("5" * 64)), "wrong_network"),
            (lambda b: replace(b, expires=START), "expired"),
            (lambda b: replace(b, expires=START + 10**9), "expires_too_late"),
            (lambda b: replace(b, payload=Transfer(POOR.address, 10**6)), "insufficient_balance"),
        ],
    )
    def test_transaction_that_does_not_apply(self, chain, good, change, code):
        bad = sign(change(good.transactions[1].body), RICH)
        error = refused(chain, forged(good, transactions=[good.transactions[0], bad]), BadTransaction)
        assert (error.index, error.cause.code) == (1, code)

    def test_repeated_transaction(self, chain, good):
        first = good.transactions[0]
        error = refused(chain, forged(good, transactions=[first, first]), BadTransaction)
        assert (error.index, error.cause.code) == (1, "duplicate")

    def test_too_many_transactions(self, good):
        small = Blockchain(GENESIS, replace(EASY, max_block_transactions=1))
        small.add(block_on(small, small.head, [good.transactions[0]]), NOW)
        block = block_on(small, small.head, [transfer(small), transfer(small)])
        refused(small, block, BlockTooLarge)

    def test_too_many_bytes(self, good):
        small = Blockchain(GENESIS, replace(EASY, max_block_bytes=500))
        refused(small, block_on(small, small.head, [transfer(small)]), BlockTooLarge)

    def test_an_invalid_block_stays_invalid_and_so_do_its_children(self, chain, good):
        bad = forged(good, commitment={"state": Hash("6" * 64)})
        refused(chain, bad, BadStateDigest)
        refused(chain, bad, BadStateDigest)
        refused(chain, forged(good, parent=bad.id, commitment={"height": 3}), BadParent)

    def test_the_memory_of_invalid_blocks_is_bounded(self, chain, good, monkeypatch):
        monkeypatch.setattr(blockchain, "MAX_CONDEMNED", 4)
        for n in range(1, 12):
            bad = forged(good, commitment={"state": Hash(f"{n:064x}")})
            refused(chain, bad, BadStateDigest)
            assert bad.id in chain._tree.condemned
            assert len(chain._tree.condemned) <= 4


class TestHeldBlocks:
    def test_a_block_ahead_of_the_clock_is_held_until_its_time(self, chain):
        block = block_on(chain, chain.head, time=NOW + EASY.max_future_ms + 1)
        assert chain.add(block, NOW).kind is Kind.EARLY
        assert chain.due(NOW) == ()
        assert chain.due(NOW + 1) == (block,)
        assert chain.add(block, NOW + 1).kind is Kind.NEW_HEAD
        assert chain.early == ()

    def test_an_early_block_that_turns_out_invalid_is_not_due_for_ever(self, chain):
        valid = block_on(chain, chain.head, time=NOW + EASY.max_future_ms + 1)
        commitment = replace(valid.commitment, state=Hash("1" * 64))
        header = replace(valid.header, root=merkle_root(commitment, ()))
        block = Block(mined(header), commitment, ())
        assert chain.add(block, NOW).kind is Kind.EARLY
        (due,) = chain.due(NOW + 1)
        assert chain.add(due, NOW + 1).kind is Kind.INVALID
        assert chain.early == chain.due(NOW + 10**6) == ()

    def test_a_remembered_refusal_keeps_no_block_alive(self, chain):
        poor = signed(chain, Transfer(RICH.address, 5), POOR)
        commitment = Commitment(1, MINER, Hash("1" * 64))
        root = merkle_root(commitment, (poor,))
        header = Header(1, chain.head.id, root, START + 1, EASY.initial_target, 0)
        block = Block(mined(header), commitment, (poor,))
        chain.add(block, NOW)
        reason = chain.add(block, NOW).reason
        assert isinstance(reason, BadTransaction)
        for error in (reason, reason.cause):
            assert (error.__traceback__, error.__cause__, error.__context__) == (None, None, None)

    def test_orphans_join_when_their_parent_comes(self, chain):
        other = Blockchain(GENESIS, EASY)
        blocks = [extend(other, other.head).block for _ in range(4)]
        for block in reversed(blocks[1:]):
            assert chain.add(block, NOW).kind is Kind.ORPHAN
        result = chain.add(blocks[0], NOW)
        assert result.kind is Kind.NEW_HEAD
        assert [entry.height for entry in result.connected] == [1, 2, 3, 4]
        assert chain.head.id == other.head.id

    def test_orphans_are_bounded(self, chain):
        parent = chain.head
        for n in range(MAX_ORPHANS + 5):
            block = forged(block_on(chain, parent), parent=Hash(f"{n + 1:064x}"))
            assert chain.add(block, NOW).kind is Kind.ORPHAN
        assert len(chain._tree.orphans) == MAX_ORPHANS

    def test_early_blocks_are_bounded(self, chain):
        blocks = [block_on(chain, chain.head, time=NOW + EASY.max_future_ms + n) for n in range(1, MAX_EARLY + 6)]
        for block in blocks:
            assert chain.add(block, NOW).kind is Kind.EARLY
        assert chain.early == tuple(blocks[-MAX_EARLY:])

    def test_known(self, chain):
        block = block_on(chain, chain.head)
        chain.add(block, NOW)
        assert chain.add(block, NOW).kind is Kind.KNOWN


class TestForkChoice:
    def test_more_work_wins_and_the_old_branch_is_disconnected(self, chain):
        root = chain.head
        short = extend(chain, root, time=START + 5)
        first = extend(chain, root, time=START + 6)
        before = chain.head
        second = block_on(chain, first)
        result = chain.add(second, NOW)
        assert chain.head.id == second.id
        if before is short:
            assert [e.id for e in result.disconnected] == [short.id]
            assert [e.id for e in result.connected] == [first.id, second.id]
        assert chain.at_height(1) is first

    def test_with_equal_work_the_lowest_hash_wins_in_any_order(self):
        one = Blockchain(GENESIS, EASY)
        blocks = [block_on(one, one.head, time=START + n) for n in range(2, 7)]
        for order in (blocks, blocks[::-1]):
            chain = Blockchain(GENESIS, EASY)
            for block in order:
                chain.add(block, NOW)
            assert chain.head.id == min(block.id for block in blocks)

    def test_a_justified_block_beats_work(self, chain):
        root = chain.head
        worked = extend(chain, root, [transfer(chain)])
        justifying = extend(chain, worked, votes(chain, worked))
        side = extend(chain, root, time=START + 77)
        for _ in range(5):
            side = extend(chain, side)
        assert side.work > justifying.work
        assert chain.head is justifying
        assert chain.justified is worked

    def test_where_two_blocks_of_one_height_are_justified_the_work_above_them_decides(self, chain):
        """With work that differs between them, as after the target of one branch has changed."""
        tree = chain._tree
        heads = []
        for time, below, total in ((START + 5, 100, 150), (START + 6, 200, 220)):
            worked = extend(chain, chain.entry(chain.genesis_id), [transfer(chain)], time)
            head = extend(chain, worked, votes(chain, worked))
            assert chain.finality(head)[:2] == (1, worked.id)
            tree = replace(tree, entries=tree.entries.set(worked.id, replace(worked, work=below)))
            heads.append(replace(head, work=total))
        assert chain._rank(tree, heads[0]) > chain._rank(tree, heads[1])

    def test_two_votes_are_no_quorum(self, chain):
        worked = extend(chain, chain.head, [transfer(chain)])
        extend(chain, worked, votes(chain, worked, VALIDATORS[:2]))
        assert chain.justified.id == chain.genesis_id

    def test_final_blocks_stay(self, chain):
        root = chain.head
        extend(chain, root, time=START + 99)
        last = finalise(chain, root)
        assert chain.final.height == 1
        side = root
        for n in range(6):
            side = extend(chain, side, time=START + 200 + n)
        assert chain.head is last

    def test_a_block_stays_final_when_the_one_that_counted_the_votes_is_undone(self, chain):
        last, final = finalise(chain, chain.head), chain.final
        justifying = chain.entry(last.parent)
        other = extend(chain, justifying, time=START + 300)
        assert chain.finality(other)[2] < final.height
        counted = extend(chain, other, votes(chain, justifying), time=START + 301)
        higher = extend(chain, counted, time=START + 302)
        assert chain.head is higher
        assert chain.finality(higher)[2] == final.height == 1
        assert chain.final is final

    def test_two_final_branches_stop_the_node(self, chain):
        other, blocks = Blockchain(GENESIS, EASY), list[Block]()
        other.add = lambda block, now: (blocks.append(block), Blockchain.add(other, block, now))[1]
        finalise(chain, chain.head)
        foreign = [extend(other, other.head, time=START + 50)]
        finalise(other, foreign[0])
        before = chain.head
        for block in blocks[:-1]:
            assert chain.add(block, NOW).kind is Kind.SIDE
        with pytest.raises(ConflictingFinality):
            chain.add(blocks[-1], NOW)
        assert chain.head is before

    def test_states_far_below_the_final_block_are_forgotten(self, chain):
        root = chain.head
        for _ in range(KEPT_BELOW_FINAL + PRUNE_EVERY):
            extend(chain, chain.head)
        side = extend(chain, root, time=START + 500)
        for _ in range(PRUNE_EVERY + 5):
            side = extend(chain, side)
        finalise(chain, chain.head)
        assert chain.lowest == chain.final.height - KEPT_BELOW_FINAL
        assert chain.at_height(chain.lowest) is not None
        assert chain.at_height(chain.lowest - 1) is None
        assert chain.entry(side.id) is None
        finalise(chain, chain.head)
        other = Blockchain(GENESIS, EASY)
        refused(chain, block_on(other, other.head, time=START + 9), BadParent)


class TestBuilding:
    def test_takes_what_applies_and_says_why_not_for_the_rest(self, chain):
        fine, greedy = transfer(chain), transfer(chain, 10**6)
        template = chain.build([fine, greedy, fine], MINER, NOW)
        assert template.block.transactions == (fine,)
        assert [(s.id, e.code) for s, e in template.dropped] == [
            (greedy.id, "insufficient_balance"),
            (fine.id, "duplicate"),
        ]
        block = replace(template.block, header=mined(template.block.header))
        assert chain.add(block, NOW).kind is Kind.NEW_HEAD
        assert Blockchain(GENESIS, EASY).add(block, NOW).kind is Kind.NEW_HEAD

    def test_respects_the_bounds_of_a_block(self):
        params = replace(EASY, max_block_bytes=3000, max_block_transactions=100)
        chain = Blockchain(GENESIS, params)
        template = chain.build([transfer(chain) for _ in range(20)], MINER, NOW)
        assert 0 < len(template.block.transactions) < 20
        assert chain.add(replace(template.block, header=mined(template.block.header)), NOW).kind is Kind.NEW_HEAD

    def test_time_is_later_than_the_heads_even_when_the_clock_is_not(self, chain):
        extend(chain, chain.head, time=NOW)
        assert chain.build([], MINER, NOW - 5).block.header.time == NOW + 1

    def test_prepare_changes_nothing_before_commit(self, chain):
        before = chain.head
        tree, result = chain.prepare(block_on(chain, before), NOW)
        assert result.kind is Kind.NEW_HEAD
        assert chain.head is before
        chain.commit(tree)
        assert chain.head is result.connected[-1]
