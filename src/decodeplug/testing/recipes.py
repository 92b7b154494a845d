"""What each family needs beside the common sizes to be built tiny.

Keyed by transformers' model type; only families that the common sizes do not
fit, or whose interesting layers would not be there. A key ``part.name`` sets
``name`` of a nested config.
"""

from __future__ import annotations

from typing import Any

__all__ = ["RECIPES"]

LINEAR_FULL = ["linear_attention", "full_attention"]
MLA = {
    "num_key_value_heads": 4, "kv_lora_rank": 16, "q_lora_rank": 24, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16,
    "v_head_dim": 16, "head_dim": ...,
}  # fmt: skip
"""Latent attention has as many key heads as query heads; its head_dim follows from the parts."""
ROUTED = {
    "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "moe_intermediate_size": 32,
    "first_k_dense_replace": 1,
}  # fmt: skip
SPARSE = {"index_n_heads": 24, "index_topk": 4, "index_head_dim": 16}
"""24 index heads: with few, scores are exactly zero, tie, and even lone runs disagree."""
DELTA = {
    "layer_types": LINEAR_FULL, "linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_num_key_heads": 2,
    "linear_num_value_heads": 4, "head_dim": 16,
}  # fmt: skip
MAMBA_HEADS = {"mamba_n_heads": 4, "mamba_d_head": 32, "mamba_d_state": 8}
ENCODER_DECODER = {
    "d_model": 64, "encoder_ffn_dim": 96, "decoder_ffn_dim": 96, "decoder_start_token_id": 2, "is_decoder": True,
    "forced_eos_token_id": None,
}  # fmt: skip
VISION = {
    "vision_config.hidden_size": 32, "vision_config.intermediate_size": 48, "vision_config.num_hidden_layers": 1,
    "vision_config.num_attention_heads": 2, "vision_config.image_size": 28, "vision_config.patch_size": 14,
}  # fmt: skip

QWEN4 = {
    **DELTA, "layer_types": ["linear_attention", "indexed_attention"], "hc_count": 2, "hc_lowrank": 16,
    "indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 16, "indexer_budget": 64, "indexer_compress_ratio": 1,
}  # fmt: skip
INKLING = {
    "unpadded_vocab_size": 512, "layer_types": ["hybrid_sliding", "hybrid"], "swa_num_attention_heads": 4,
    "swa_num_key_value_heads": 2, "swa_head_dim": 16, "d_rel": 8, "rel_extent": 16, "log_scaling_n_floor": 4,
}  # fmt: skip

RECIPES: dict[str, dict[str, Any]] = {
    "axk1": {**MLA, **ROUTED},
    "axk2": {**MLA, **ROUTED, **SPARSE},
    "bailing_hybrid": {**MLA, "layer_types": LINEAR_FULL, "num_experts": 4},
    "bamba": {"attn_layer_indices": [1], **MAMBA_HEADS},
    "bart": ENCODER_DECODER,
    "bigbird_pegasus": {**ENCODER_DECODER, "attention_type": "original_full"},
    "blenderbot": ENCODER_DECODER,
    "blenderbot-small": ENCODER_DECODER,
    "blt": {
        "vocab_size": 260, "encoder_hash_byte_group_vocab": 64, "encoder_hash_byte_group_size": [3, 4],
        "patching_threshold": 5.0,
        **{
            f"{part}_config.{name}": value
            for part in ("patcher", "encoder", "decoder", "global")
            for name, value in {
                "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96,
                "max_position_embeddings": 256,
            }.items()
        },
        "encoder_config.hidden_size_global": 64, "decoder_config.hidden_size_global": 64,
    },
    "codegen": {"rotary_dim": 8},
    "cohere_compass_text": {
        "layer_types": ["sliding_attention", "full_attention"],
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            "full_attention": {"rope_type": "default", "rope_theta": 10000.0},
        },
    },
    "cpmant": {"dim_head": 16, "dim_ff": 96, "prompt_types": 4, "prompt_length": 8, "segment_types": 4, "vocab_size": 512},
    "dbrx": {"attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 10000.0}, "ffn_config": {"ffn_hidden_size": 32, "moe_num_experts": 4, "moe_top_k": 2}},
    "deepseek_v2": {**MLA, **ROUTED},
    "deepseek_v3": {**MLA, **ROUTED},
    "deepseek_v32": {**MLA, **ROUTED, **SPARSE},
    "dots1": {**ROUTED, "n_shared_experts": 1, "layer_types": ["sliding_attention", "full_attention"], "sliding_window": 8},
    "dots3_note_text": {**MLA, **ROUTED, **SPARSE, "num_attention_heads": 4, "head_dim": 24, "mlp_layer_types": ["dense", "sparse"], "sliding_window": 8},
    "dots3_note": {
        **MLA, **ROUTED, **SPARSE, "num_attention_heads": 4, "head_dim": 24, "mlp_layer_types": ["dense", "sparse"],
        "sliding_window": 8, **VISION, "vision_config.adapter_in_dim": 32, "vision_config.adapter_out_dim": 64,
        "vision_config.image_size": ..., "vision_config.mlp_layer_types": ["dense"], "vision_config.num_local_experts": 4, "vision_config.moe_intermediate_size": 32,
        "audio_config.hidden_size": 32, "audio_config.num_hidden_layers": 1, "audio_config.num_attention_heads": 2,
        "audio_config.intermediate_size": 48, "audio_config.downsample_hidden_size": 16,
        "audio_config.adapter_input_size": 32, "audio_config.adapter_out_dim": 64,
    },
    "dory": {
        "num_hidden_layers": 3, "n_input_layers": 1, "n_recurrent_layers": 1, "n_output_layers": 1,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    },
    "falcon": {"head_dim": ...},
    "falcon_h1": {"head_dim": 16, "mamba_d_ssm": 128, **MAMBA_HEADS},
    "gemma3": VISION,
    "gemma3n_text": {
        "num_hidden_layers": 6, "layer_types": ["sliding_attention", "full_attention"] * 3, "num_kv_shared_layers": 2,
        "vocab_size_per_layer_input": 512, "hidden_size_per_layer_input": 16, "altup_num_inputs": 2, "laurel_rank": 8,
    },
    "gemma4": {"vocab_size_per_layer_input": 512, "hidden_size_per_layer_input": 16, "head_dim": 16, "global_head_dim": 32, "num_attention_heads": 4, "num_key_value_heads": 2},
    "gemma4_text": {"vocab_size_per_layer_input": 512, "hidden_size_per_layer_input": 16, "head_dim": 16, "global_head_dim": 32, "num_attention_heads": 4, "num_key_value_heads": 2},
    "git": VISION,
    "glm4_moe_lite": {**MLA, **ROUTED},
    "glm_moe_dsa": {**MLA, **ROUTED, **SPARSE},
    "got_ocr2": {**VISION, "vision_config.intermediate_size": ..., "vision_config.mlp_dim": 48, "vision_config.output_channels": 16, "vision_config.global_attn_indexes": [0], "vision_config.image_size": 64, "vision_config.patch_size": 16},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 8},
    "gptj": {"rotary_dim": 8},
    "granitemoehybrid": {"layer_types": LINEAR_FULL, **MAMBA_HEADS},
    "hunyuan_v1_dense": {"head_dim": 16},
    "hunyuan_v1_moe": {"head_dim": 16},
    "inkling2_loop_text": INKLING,
    "inkling2_text": INKLING,
    "inkling_text": INKLING,
    "jamba": {
        "attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 8, "mamba_dt_rank": 8, "use_mamba_kernels": False,
        "num_experts": 4,
    },
    "kimi_linear": {
        **MLA, "q_lora_rank": None, "layer_types": LINEAR_FULL, "mlp_layer_types": ["dense", "sparse"], "linear_head_dim": 16,
        "linear_num_heads": 4,
    },
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"num_dense_layers": 1, "layer_types": ["conv", "full_attention"]},
    "lfm3": {"layer_types": ["conv", "full_attention"]},
    "llama4": {"floor_scale": 4, "attention_chunk_size": 8},
    "llama4_text": {"floor_scale": 4, "attention_chunk_size": 8},
    "longcat_flash": {
        **MLA, "head_dim": 8, "num_layers": 2, "num_hidden_layers": ..., "ffn_hidden_size": 96, "expert_ffn_hidden_size": 32,
        "moe_topk": 2, "n_routed_experts": 4, "zero_expert_num": 2,
    },
    "mamba2": {"num_heads": 4, "head_dim": 32, "state_size": 8, "n_groups": 1, "chunk_size": 16},
    "marian": {**ENCODER_DECODER, "decoder_vocab_size": 512},
    "mbart": ENCODER_DECODER,
    "minicpm3": MLA,
    "ministral": {"head_dim": 16},
    "moss_transcribe_diarize": {
        "audio_config.hidden_size": 32, "audio_config.num_hidden_layers": 1, "audio_config.num_attention_heads": 2,
        "audio_config.intermediate_size": 48,
    },
    "mvp": ENCODER_DECODER,
    "nemotron": {"num_key_value_heads": 2},
    "nemotron_h": {
        "layers_block_type": ["linear_attention", "full_attention", "moe", "mlp"], "num_hidden_layers": ...,
        "mamba_num_heads": 4, "mamba_head_dim": 32, "ssm_state_size": 8, "n_groups": 1,
    },
    "olmo_hybrid": {**DELTA, "linear_num_key_heads": 4},
    "pegasus": ENCODER_DECODER,
    "phi4_multimodal": {
        **VISION, "vision_config.num_hidden_layers": 2, "audio_config.hidden_size": 32, "audio_config.intermediate_size": 48, "audio_config.num_blocks": 2,
        "audio_config.num_attention_heads": 2, "audio_config.ext_pw_out_channel": 32,
        "audio_config.depthwise_separable_out_channel": 32, "audio_config.nemo_conv_channels": 32,
        "original_max_position_embeddings": 256,
    },
    "plbart": ENCODER_DECODER,
    "prophetnet": {
        "num_hidden_layers": ..., "num_decoder_layers": 2, "num_encoder_layers": 2, "num_decoder_attention_heads": 4,
        "num_encoder_attention_heads": 4, "is_decoder": True,
    },
    "qwen3_5": DELTA,
    "qwen3_5_moe": DELTA,
    "qwen3_5_moe_text": DELTA,
    "qwen3_5_text": DELTA,
    "qwen3_next": DELTA,
    "qwen4_exp": QWEN4,
    "qwen4_exp_text": QWEN4,
    "recurrent_gemma": {"num_hidden_layers": 3, "lru_width": 64, "attention_window_size": 8},
    "reformer": {
        "axial_pos_embds": False, "is_decoder": True, "attn_layers": ["local", "local"], "num_hidden_layers": ...,
        "feed_forward_size": 96, "local_attn_chunk_length": 8, "attention_head_size": 16,
    },
    "sarvam_mla": {**MLA, **ROUTED},
    "xlnet": {"max_position_embeddings": ..., "d_inner": 96},
    "xlstm": {"qk_dim_factor": 1.0, "v_dim_factor": 1.0, "chunk_size": 16, "embedding_dim": 64, "num_blocks": 2},
    "xmod": {"default_language": "en_XX", "is_decoder": True, "languages": ["en_XX"]},
    "youtu": {**MLA},
    "zamba": {"num_hidden_layers": 4, "layer_types": ["linear_attention", "hybrid"] * 2, "n_mamba_heads": 2},
    "zamba2": {
        "num_hidden_layers": 3, "layer_types": ["linear_attention", "hybrid", "linear_attention"], "n_mamba_heads": 4,
        "mamba_headdim": 32, "mamba_d_state": 8, "num_key_value_heads": 4, "adapter_rank": 8,
    },
    "zaya": {"num_experts_per_tok": ...},
}  # fmt: skip
"""``...`` takes a common size away again."""

CANNOT_CACHE = {"blt": "generate() raises unless use_cache=False is given"}
"""Families whose own ``generate()`` works without a cache only."""

FLOAT32_ONLY = {
    "inkling2_loop_text": "its gates are computed in float32 and multiplied with what is not",
    "inkling2_text": "its gates are computed in float32 and multiplied with what is not",
    "xglm": "it fills masks with a number that only a float holds",
    "xlm": "its masked logits overflow to NaN in float64",
    "xlnet": "its positions are made in float32",
}
"""Families that transformers itself cannot run in float64, and why."""
