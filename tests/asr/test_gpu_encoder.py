"""The encoder for a graphics card computes what transformers' encoder does."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration
from transformers.models.whisper.modeling_whisper import WhisperEncoder

import kb.asr.engines.whisper.gpu_encoder as gpu_encoder
from kb.asr.engines.model_lookup import DEMO_FOLDER
from kb.asr.engines.whisper.gpu_encoder import GPUEncoder


def random_encoder(activation: str, dtype: torch.dtype) -> WhisperEncoder:
    torch.manual_seed(0)
    config = WhisperConfig.from_pretrained(
        DEMO_FOLDER, d_model=32, encoder_layers=3, decoder_layers=1, encoder_attention_heads=4,
        decoder_attention_heads=1, encoder_ffn_dim=64, decoder_ffn_dim=16,
        activation_function=activation,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config).eval().requires_grad_(False)
    for parameter in model.parameters():  # biases too, which are zero at first
        parameter.copy_(0.3 * torch.randn_like(parameter))
    return model.to(dtype).get_encoder()


@pytest.mark.parametrize("fused", [True, False], ids=["gelu in the product", "gelu apart"])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize(
    ("dtype", "most"), [(torch.float32, 2e-3), (torch.bfloat16, 0.03), (torch.float16, 0.01)]
)
def test_the_states_are_those_of_transformers(
    fused: bool, activation: str, dtype: torch.dtype, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fused:
        monkeypatch.setattr(gpu_encoder, "_usable", lambda device, dtype: False)
    encoder = random_encoder(activation, dtype)
    exact = copy.deepcopy(encoder).float()
    mel = torch.randn(2, encoder.conv1.in_channels, 3000, generator=torch.manual_seed(1))
    with torch.inference_mode():
        expected = exact(mel).last_hidden_state
        found = GPUEncoder(encoder)(mel.to(dtype))
    assert found.dtype == dtype
    assert found.is_contiguous()
    assert float((found.float() - expected).norm() / expected.norm()) < most
    # The layers' own weights were taken over.
    assert not any(hasattr(layer, "fc1") for layer in encoder.layers)


def test_large_numbers_are_cut_off_in_half_precision() -> None:
    encoder = random_encoder("gelu", torch.float16)
    encoder.layers[0].fc2.bias.fill_(65_000)
    encoder.layers[1].fc2.bias.fill_(65_000)
    mel = torch.randn(1, encoder.conv1.in_channels, 3000, generator=torch.manual_seed(1)).half()
    with torch.inference_mode():
        expected = copy.deepcopy(encoder)(mel).last_hidden_state
        found = GPUEncoder(encoder)(mel)
    assert torch.isfinite(found).all()
    assert torch.allclose(found, expected, atol=0.05)
