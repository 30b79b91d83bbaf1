"""Generation with eviction as the C++ program does it: the prompt is read window by window."""

import torch
from .errors import ForesightError
from .model_layers import evicting_layers, new_cache


@torch.no_grad()
def prefill(model, input_ids, press, cache=None, chunk_tokens=256, prompt_tokens=None):
    """Reads tokens [R, T] into a cache under a press, each forward pass ending at the end of a window at the latest.

    model: a transformers causal language model. cache: a DynamicCache to continue, or None for a new one. chunk_tokens:
    most tokens of a forward pass. prompt_tokens: what counts as the prompt of a new cache, for scorers that protect it;
    default: these tokens. Returns the cache. Raises ForesightError for tokens of another shape.
    """
    if input_ids.dim() != 2:
        raise ForesightError(f"prefill: expected token ids [rows, tokens], got shape {list(input_ids.shape)}")
    cache = new_cache(model) if cache is None else cache
    first, evicting = 0, evicting_layers(model.config.get_text_config(decoder=True))
    press.prompt = input_ids.shape[1] if prompt_tokens is None else prompt_tokens
    with press(model):
        while first < input_ids.shape[1]:
            # A layer without room() was filled without the press, which then says so.
            room = getattr(cache.layers[evicting[0]], "room", lambda: 1)() if cache.get_seq_length() else press.budget
            chunk = input_ids[:, first : first + min(room, chunk_tokens)]
            model.base_model(input_ids=chunk, past_key_values=cache, use_cache=True)
            first += chunk.shape[1]
    press.prompt = None
    return cache


@torch.no_grad()
def generate(model, input_ids, press, cache=None, chunk_tokens=256, **options):
    """Continues prompts under a press: the prompt through prefill(), the rest by model.generate(). Greedy by default.

    input_ids: the prompts, [R, T] or [T] token ids (tensor or list), without padding. cache: None, or what an earlier call
    filled: input_ids then holds the whole text so far and only its new end is read. options: of transformers' generate(),
    for example max_new_tokens, do_sample, temperature, eos_token_id, streamer. Returns the new tokens alone, [R, new]
    int64. Raises ForesightError for an empty prompt, a cache that is not a part of it, and more than one sequence or beam a
    prompt.
    """
    ids = torch.as_tensor(input_ids, dtype=torch.int64, device=model.device)
    ids = ids.unsqueeze(0) if ids.dim() == 1 else ids
    if ids.dim() != 2 or ids.shape[1] == 0:
        raise ForesightError(f"generate: expected token ids [rows, tokens] with at least one token, got shape {list(ids.shape)}")
    for option in ("num_beams", "num_return_sequences"):
        if (options.get(option) or 1) > 1:
            raise ForesightError(f"generate: {option}={options[option]} is not supported; repeat the prompt's row instead")
    cache = new_cache(model) if cache is None else cache
    seen = cache.get_seq_length()
    if seen >= ids.shape[1]:
        raise ForesightError(f"generate: the cache has seen {seen} tokens, input_ids must continue after them, got {ids.shape[1]}")
    # The last token is left to model.generate(), which needs one to begin with.
    prefill(model, ids[:, seen:-1], press, cache, chunk_tokens, prompt_tokens=ids.shape[1])
    settings = {"do_sample": False, "attention_mask": torch.ones_like(ids), "pad_token_id": _padding_token(model, options)}
    with press(model):
        sequences = model.generate(ids, past_key_values=cache, **(settings | options))
    return sequences[:, ids.shape[1] :]


def _padding_token(model, options):
    """A token to fill rows with that ended early: the end token where the model has no padding token."""
    for value in (model.generation_config.pad_token_id, options.get("eos_token_id"), model.generation_config.eos_token_id):
        if value is not None:
            return value[0] if isinstance(value, (list, tuple)) else value
    return None
