"""What vLLM and Ray call things that a row may name; tests/integration/vllm holds these to the installed ones."""

from typing import Final


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


TOOL_PARSERS: Final = _names("""
    apertus cohere_command3 cohere_command4 deepseek_v3 deepseek_v31 deepseek_v32 deepseek_v4 deepseek_v41 dots
    ernie45 functiongemma gemma4 gigachat3 glm45 glm47 granite granite-20b-fc granite4 hermes hf hunyuan_a13b hy_v3
    hy_v4 inkling internlm jamba k2_horizon kimi_k2 kimi_k3 lfm2 ling3 llama3_json llama4_json llama4_pythonic
    longcat mimo minicpm5 minimax_m2 minimax_m3 mistral muse_glimmer olmo3 openai phi4_mini_json plamo3 poolside_v1
    pythonic qwen3_coder qwen3_json qwen3_xml seed_oss step3 step3p5 xlam
""")
"""vLLM 0.32: vllm.tool_parsers.ToolParserManager."""

REASONING_PARSERS: Final = _names("""
    cohere_command3 cohere_command4 deepseek_r1 deepseek_v3 deepseek_v4 deepseek_v41 ernie45 gemma4 glm45 glm47
    granite granite_thinking_parser hf holo2 hunyuan_a13b hy_v3 hy_v4 inkling k2_horizon kimi_k2 kimi_k3 ling3 mimo
    minicpmv minimax_m2 minimax_m2_append_think minimax_m3 mistral muse_glimmer nemotron_v3 olmo3 openai_gptoss
    plamo3 poolside_v1 qwen3 seed_oss step3 step3p5
""")
"""vLLM 0.32: vllm.reasoning.ReasoningParserManager."""

QUANTIZATIONS: Final = _names("""
    auto_awq auto_gptq awq awq_marlin compressed-tensors deepseek_v4_fp8 experts_int8 fbgemm_fp8 fp8 fp8_per_block
    fp8_per_channel fp8_per_tensor fp_quant gpt_oss_mxfp4 gptq gptq_marlin humming inc int8_per_channel_weight_only
    modelopt modelopt_fp4 modelopt_mixed modelopt_mxfp8 moe_wna16 mxfp4 mxfp8 nvfp4_per_token online quark torchao
""")
"""vLLM 0.32: vllm.model_executor.layers.quantization.QUANTIZATION_METHODS."""

CPU: Final = "cpu"

ACCELERATORS: Final = _names("""
    V100 P100 T4 P4 K80 A10G L4 L40S A100 A100-40G A100-80G H100 H200 H20 B200 B300 GB200 GB300 RTX-PRO-6000
    AMD-Instinct-MI100 AMD-Instinct-MI250X AMD-Instinct-MI250X-MI250 AMD-Instinct-MI210 AMD-Instinct-MI300A
    AMD-Instinct-MI300X-OAM AMD-Instinct-MI300X-HF AMD-Instinct-MI308X AMD-Instinct-MI325X-OAM
    AMD-Instinct-MI350X-OAM AMD-Instinct-MI355X-OAM
""")
"""Ray 2.60: ray.util.accelerators, those that Ray counts as its resource GPU."""
