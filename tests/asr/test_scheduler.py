"""The windows of a batch, the size of a batch, and the memory of a model."""

from __future__ import annotations

import pytest
import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration

from gpu.manager import BatchCeiling
from kb.asr.batching.batch_size import (
    GROW_AFTER,
    MEMORY_POLL_BATCHES,
    SLOWEST_GROWTH,
    AdaptiveBatchSize,
)
from kb.asr.batching.scheduler import MOST_PASSES, MOST_URGENT, FairScheduler, Ticket
from kb.asr.engines.model_lookup import DEMO_FOLDER, shape_of
from kb.asr.engines.model_registry import find_model, known_models
from kb.asr.engines.whisper.memory import (
    POSITIONS,
    WhisperShape,
    shape_from_config,
    shape_from_folder,
)


def turns(*tickets: tuple[str, str, float, str]) -> FairScheduler[str]:
    """Return a scheduler with tickets of (owner, job, length in seconds, language)."""
    made: FairScheduler[str] = FairScheduler()
    for owner, job, length_s, language in tickets:
        add(made, owner, job, length_s, language)
    return made


def add(
    made: FairScheduler[str],
    owner: str,
    job: str,
    length_s: float = 10,
    language: str = "en",
    kind: str = "",
    *,
    urgent: bool = False,
) -> None:
    made.add(Ticket(owner, job, kind, length_s, lambda: language, urgent))


def test_items_take_turns() -> None:
    waiting = FairScheduler[str]()
    for number in range(40):
        add(waiting, "four hours", f"long {number}")
    for number in range(3):
        add(waiting, "two minutes", f"short {number}")
    batches = [waiting.next_batch(4) for _ in range(3)]
    assert sum(job.startswith("short") for batch in batches for job in batch) == 3
    assert [job for b in batches for job in b if job.startswith("long")] == [
        f"long {n}" for n in range(9)
    ]  # equal windows of an item keep their order
    assert len(waiting) == 31 and waiting.owners == ["four hours"]


def test_the_longest_of_the_horizon_go_first_and_no_window_starves() -> None:
    waiting = FairScheduler[str]()
    for number, length_s in enumerate((2, 29, 3, 28, 27, 4, 26, 25)):
        add(waiting, "item", f"{number}", length_s)
    assert waiting.next_batch(4) == ["1", "3", "4", "6"]
    # Longer windows are added continuously; the skipped windows must still be scheduled.
    gone: list[list[str]] = []
    for number in range(8, 40, 4):
        for more in range(4):
            add(waiting, "item", f"{number + more}", 30)
        gone.append(waiting.next_batch(4))
    late = {job: place for place, batch in enumerate(gone) for job in batch}
    assert all(late[job] <= MOST_PASSES for job in ("0", "2", "5", "7")), late


def test_one_language_goes_together_and_others_fill_what_is_left() -> None:
    waiting = turns(
        *(("english", f"e{n}", 10, "en") for n in range(5)),
        *(("german", f"g{n}", 20, "de") for n in range(3)),
        *(("new", f"n{n}", 30, "") for n in range(1)),
    )
    first = waiting.next_batch(4)
    assert first == ["e0", "e1", "e2", "e3"]
    second = waiting.next_batch(4)  # the next item has the first place
    assert sorted(second) == ["g0", "g1", "g2", "n0"]
    assert {job for _ in range(3) for job in waiting.next_batch(4)} | set(first) | set(second) == {
        "e0", "e1", "e2", "e3", "e4", "g0", "g1", "g2", "n0",
    }  # fmt: skip
    assert len(waiting) == 0 and waiting.next_batch(4) == []


def test_a_language_that_becomes_known_while_it_waits_counts() -> None:
    waiting, known = FairScheduler[str](), {"item": ""}
    for number in range(4):
        waiting.add(Ticket("item", f"i{number}", "", 10, lambda: known["item"]))
    for number in range(4):
        add(waiting, "german", f"g{number}", 10, "de")
    known["item"] = "de"
    assert sorted(waiting.next_batch(8)) == ["g0", "g1", "g2", "g3", "i0", "i1", "i2", "i3"]


def test_different_tasks_never_share_a_batch() -> None:
    waiting = FairScheduler[str]()
    for number in range(3):
        add(waiting, "one", f"t{number}", kind="transcribe")
        add(waiting, "two", f"x{number}", kind="translate")
    batches = [waiting.next_batch(8) for _ in range(2)]
    assert [{job[0] for job in batch} for batch in batches] == [{"t"}, {"x"}]


def test_what_is_dropped_is_gone_and_the_rest_goes_on() -> None:
    waiting = turns(("a", "a0", 1, "en"), ("b", "b0", 1, "en"), ("a", "a1", 1, "en"))
    assert waiting.queued_of("a") == 2
    assert waiting.remove("a") == ["a0", "a1"] and waiting.remove("nobody") == []
    assert (len(waiting), waiting.next_batch(8)) == (1, ["b0"])


# Urgent windows


def test_urgent_windows_go_first_and_others_fill_their_batch() -> None:
    waiting = FairScheduler[str]()
    for number in range(9):
        add(waiting, "talk", f"t{number}", 30)
    add(waiting, "clip", "c0", 5, urgent=True)
    add(waiting, "other clip", "d0", 4, "de", urgent=True)  # its language does not hold it up
    assert waiting.next_batch(4) == ["t0", "t1", "c0", "d0"]
    assert waiting.next_batch(4) == ["t2", "t3", "t4", "t5"]


def test_urgent_requests_take_turns_among_themselves() -> None:
    waiting = FairScheduler[str]()
    for number in range(5):
        add(waiting, "long clip", f"l{number}", urgent=True)
    add(waiting, "short clip", "s0", urgent=True)
    assert set(waiting.next_batch(2)) == {"l0", "s0"}


@pytest.mark.parametrize("kind", ["", "translate"])
@pytest.mark.parametrize("size", [1, 2, 8])
def test_a_flood_of_urgent_windows_does_not_starve_the_others(kind: str, size: int) -> None:
    waiting = FairScheduler[str]()
    for number in range(3):
        add(waiting, "talk", f"talk {number}", 5)
    batches: list[list[str]] = []
    for number in range(20):
        for place in range(size):
            add(waiting, f"clip {number} {place}", "clip", 30, kind=kind, urgent=True)
        batches.append(waiting.next_batch(size))
    places = [at for at, batch in enumerate(batches) for job in batch if job != "clip"]
    assert places and places[0] == MOST_URGENT
    if not kind and size > 1:  # an ordinary window leads, and urgent ones fill its batch
        assert batches[MOST_URGENT].count("clip") == size - 1
    assert len(places) == 3


def test_skipped_windows_do_not_come_before_urgent_ones() -> None:
    waiting = FairScheduler[str]()
    add(waiting, "item", "short", 1)
    for number in range(12):
        add(waiting, "item", f"{number}", 30)
        if number % 4 == 3:
            waiting.next_batch(4)
    add(waiting, "clip", "clip", 2, urgent=True)
    assert waiting.next_batch(1) == ["clip"]
    assert len(waiting) == 1


# Batch size


class Room:
    """The limit by memory, which the test changes."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self) -> BatchCeiling:
        return BatchCeiling(self.size, f"room for {self.size}")


def test_the_batch_begins_with_what_fits_and_says_why_it_is_not_larger() -> None:
    assert (AdaptiveBatchSize(16).size, AdaptiveBatchSize(16).reason) == (
        16,
        "the preset's most is 16",
    )
    small = AdaptiveBatchSize(16, Room(5))
    assert (small.size, small.ceiling, small.reason) == (5, 16, "room for 5")
    assert AdaptiveBatchSize(16, Room(0)).size == 1
    assert AdaptiveBatchSize(16, Room(99)).size == 16


def test_out_of_memory_halves_and_a_quiet_stretch_doubles() -> None:
    batch = AdaptiveBatchSize(16, grow_after=3)
    assert batch.on_out_of_memory(16) and batch.size == 8
    assert batch.reason == "memory ran out with 16 windows"
    assert batch.on_out_of_memory(8) and batch.size == 4
    assert batch.on_out_of_memory(3) and batch.size == 1  # a partial batch
    sizes = []
    for _ in range(40):
        batch.on_success(batch.size)
        sizes.append(batch.size)
    assert sorted(set(sizes)) == [1, 2, 4, 8, 16]
    assert sizes == sorted(sizes) and sizes[0] == sizes[1] == 1  # not at once
    assert batch.halved == 3


def test_each_fall_from_the_full_size_makes_the_next_try_later() -> None:
    batch, waits = AdaptiveBatchSize(2), []
    for _ in range(7):
        assert batch.on_out_of_memory(2)
        quiet = 0
        while batch.size < 2:
            batch.on_success(1)
            quiet += 1
        waits.append(quiet)
    assert waits[0] == 2 * GROW_AFTER
    assert waits == sorted(waits) and waits[-1] == waits[-2] == SLOWEST_GROWTH * GROW_AFTER


def fall(batch: AdaptiveBatchSize) -> int:
    """Run out of memory with a full batch; return the number of batches to the next full size."""
    full = batch.ceiling
    while batch.size == full:  # a size that has succeeded before is repeated once
        assert batch.on_out_of_memory(full)
    quiet = 0
    while batch.size < full:
        batch.on_success(1)
        quiet += 1
    return quiet


def test_full_batches_that_go_through_make_the_next_try_sooner_again() -> None:
    batch = AdaptiveBatchSize(2)
    assert [fall(batch) for _ in range(4)] == [n * GROW_AFTER for n in (2, 4, 8, 16)]
    for _ in range(100 * GROW_AFTER):
        batch.on_success(1)  # partial batches do not count
    assert fall(batch) == 16 * GROW_AFTER
    for _ in range(16 * GROW_AFTER):
        batch.on_success(2)
    assert fall(batch) == 16 * GROW_AFTER  # it was halved, and this fall doubled it
    for _ in range((16 + 8 + 4 + 2) * GROW_AFTER):
        batch.on_success(2)
    assert fall(batch) == 2 * GROW_AFTER  # as after the first fall


def test_another_preset_forgets_what_the_last_one_failed_with() -> None:
    batch = AdaptiveBatchSize(2)
    assert [fall(batch) for _ in range(3)] == [n * GROW_AFTER for n in (2, 4, 8)]
    batch.set_ceiling(4)
    assert fall(batch) == 2 * GROW_AFTER


def test_what_went_through_before_is_repeated_once_after_a_clean_up() -> None:
    batch = AdaptiveBatchSize(8)
    batch.on_success(8)
    assert batch.on_out_of_memory(8) and batch.size == 8  # fragmented memory: the size is repeated
    batch.on_success(8)
    assert (batch.repeated, batch.halved) == (1, 0)
    assert batch.on_out_of_memory(8) and batch.size == 8
    assert batch.on_out_of_memory(8) and batch.size == 4  # the repetition failed
    assert (batch.repeated, batch.halved) == (1, 1)


def test_one_window_is_repeated_once_and_then_given_up() -> None:
    batch = AdaptiveBatchSize(1)
    assert batch.on_out_of_memory(1)
    assert not batch.on_out_of_memory(1)
    assert batch.size == 1
    assert batch.on_out_of_memory(1)  # the next window is repeated too


def test_growth_stops_where_memory_ends_and_goes_on_when_there_is_more() -> None:
    room = Room(6)
    batch = AdaptiveBatchSize(16, room, grow_after=2)
    for _ in range(20):
        batch.on_success(batch.size)
    assert (batch.size, batch.reason) == (6, "room for 6")
    room.size = 99
    for _ in range(20):
        batch.on_success(batch.size)
    assert batch.size == 16


def test_memory_that_others_take_makes_the_batch_smaller_before_it_fails() -> None:
    room = Room(16)
    batch = AdaptiveBatchSize(16, room)
    batch.on_success(16)
    room.size = 3
    for _ in range(MEMORY_POLL_BATCHES):
        batch.on_success(16)
    assert (batch.size, batch.reason, batch.halved) == (3, "room for 3", 0)


def test_a_hungry_device_gets_more_sooner() -> None:
    calm, hungry = AdaptiveBatchSize(8, Room(8)), AdaptiveBatchSize(8, Room(8))
    waits = []
    for batch, is_hungry in ((calm, False), (hungry, True)):
        batch.on_out_of_memory(8)
        quiet = 0
        while batch.size < 8:
            batch.on_success(4, underutilised=is_hungry)
            quiet += 1
        waits.append(quiet)
    assert waits[1] * 4 == waits[0]


# Memory of a model


@pytest.mark.parametrize(
    "name", ["tiny", "base.en", "large-v3", "large-v3-turbo", "distil-small.en"]
)
def test_the_arithmetic_counts_every_number_of_the_real_architecture(name: str) -> None:
    known = find_model(name)
    assert known is not None and isinstance(known.shape, WhisperShape)
    shape = known.shape
    config = WhisperConfig(
        encoder_layers=shape.encoder_layers, decoder_layers=shape.decoder_layers,
        d_model=shape.width, encoder_attention_heads=shape.heads,
        decoder_attention_heads=shape.heads, encoder_ffn_dim=shape.inner,
        decoder_ffn_dim=shape.inner, vocab_size=shape.vocabulary, num_mel_bins=shape.mels,
    )  # fmt: skip
    with torch.device("meta"):
        model = WhisperForConditionalGeneration(config)
    assert sum(p.numel() for p in model.parameters()) == shape.parameters
    assert shape_from_config(config.to_dict()) == shape


def test_figures_of_the_design() -> None:
    large, turbo = find_model("large-v3"), find_model("openai/whisper-large-v3-turbo")
    assert large is not None and isinstance(large.shape, WhisperShape)
    assert turbo is not None and isinstance(turbo.shape, WhisperShape)
    assert large.shape.cross_cache_bytes() == 2 * 2 * POSITIONS * 1280 * 32 == 245_760_000
    assert turbo.shape.cross_cache_bytes() == 30_720_000
    assert 56 * large.shape.cross_cache_bytes() + large.shape.weights_bytes() < 20 * 2**30
    # With one copy made without the finished windows, a cache takes 1.75 times its size.
    # The next batch is in the encoder meanwhile: log-mel, and the activations of one layer.
    both = 18.4e6 + 0.8e6 + 13.1e6 + 4 * 128 * 3000 + 2 * 1500 * (2 * 5120 + 5 * 1280)
    assert large.shape.window_bytes() == pytest.approx(430.1e6 + 65.5e6 + both, rel=0.001)
    assert turbo.shape.window_bytes() == pytest.approx(53.8e6 + 8.2e6 + both, rel=0.001)
    assert find_model("nothing of the kind") is None
    models = known_models()
    assert len({model.name for model in models}) == len(models)


def test_shapes_are_read_from_a_model_of_ones_own() -> None:
    shape = shape_of("demo")
    assert isinstance(shape, WhisperShape) and (shape.encoder_layers, shape.width) == (4, 128)
    weights = DEMO_FOLDER / "model.safetensors"
    # The file may be in half precision or float32; the number of weights is the same.
    assert weights.stat().st_size == pytest.approx(shape.weights_bytes(4), rel=0.15) or (
        weights.stat().st_size == pytest.approx(shape.weights_bytes(2), rel=0.15)
    )
    assert shape_of("no such model") is None and shape_of("someone/unknown") is None
    assert shape_from_config({"model_type": "wav2vec2"}) is None
    assert shape_from_config({"model_type": "whisper", "d_model": "wide"}) is None
    assert shape_from_folder(DEMO_FOLDER.parent) is None
