"""Writes a small Llama that knows nothing, for vLLM to serve: run as a program by the environment that has vLLM.

python tests/integration/vllm/checkpoint.py FOLDER CONTEXT_TOKENS [LAYERS WIDTH]
"""

import sys
from pathlib import Path
from typing import Final

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

BEGIN: Final = "<|im_start|>"
END: Final = "<|im_end|>"
THINK: Final = ("<think>", "</think>")
VOCABULARY: Final = 512

TEMPLATE: Final = """\
{%- if tools %}<|im_start|>tools
{% for tool in tools %}{{ tool.function | tojson }}
{% endfor %}<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{%- if message.reasoning_content %}<think>{{ message.reasoning_content }}</think>{% endif %}
{{ message.content or '' }}
{%- for call in message.tool_calls or [] %}{{ call.function.name }}({{ call.function.arguments | tojson }})
{%- endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
<think>{% if not enable_thinking %}</think>{% endif %}
{% endif %}"""
"""ChatML that shows tools, calls and earlier reasoning, so that a prompt's count tells whether they arrived.

The model thinks when it is told to.
"""

SAID: Final = [
    "The gate lets water into the turbine, and the turbine turns.",
    'A tool is called with an object: {"city": "Oslo", "days": 3}.',
    "Tell me what the weather is like in Oslo, and answer in a few words.",
]


def tokenizer(context_tokens: int) -> PreTrainedTokenizerFast:
    """Byte-level, so that every text has tokens."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.train_from_iterator(
        SAID,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=[BEGIN, END],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    # vLLM leaves special tokens out of what it tells, and finds the end of thinking in the text.
    raw.add_tokens([AddedToken(word, special=False) for word in THINK])
    made = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token=BEGIN, eos_token=END, pad_token=END, model_max_length=context_tokens
    )
    made.chat_template = TEMPLATE
    return made


def speak_plainly(model: LlamaForCausalLM, words: PreTrainedTokenizerFast) -> None:
    """Leaves the likeliest token always one that is read: no half characters, and no end unless something forces it."""
    unread = [number for word, number in words.get_vocab().items() if not (word.isascii() and word.isalpha())]
    with torch.no_grad():
        model.lm_head.weight[unread] = 0


def write(folder: Path, context_tokens: int, layers: int = 2, width: int = 128) -> None:
    words = tokenizer(context_tokens)
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words),
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=width // 32,
            num_key_value_heads=2,
            max_position_embeddings=context_tokens,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )
    speak_plainly(model, words)
    model.save_pretrained(folder)
    words.save_pretrained(folder)


if __name__ == "__main__":
    write(Path(sys.argv[1]), *map(int, sys.argv[2:]))
