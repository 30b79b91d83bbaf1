"""Writes mixed.safetensors with the Python package `safetensors`, and its content as mixed.json.

Needs: safetensors, torch, numpy. Run in this folder: python make.py
"""

import json

import torch
from safetensors.torch import save_file

torch.manual_seed(7)
tensors = {
    "float64": torch.randn(3, 2, dtype=torch.float64),
    "float32": torch.randn(2, 3, 4),
    "float16": torch.randn(5).half(),
    "bfloat16": torch.randn(4, 3).bfloat16(),
    "int64": torch.tensor([-(2**63), 0, 2**63 - 1]),
    "int32": torch.tensor([[-(2**31)], [2**31 - 1]], dtype=torch.int32),
    "int16": torch.tensor([-32768, 32767], dtype=torch.int16),
    "int8": torch.tensor([-128, 127, 5], dtype=torch.int8),
    "uint8": torch.tensor([0, 255, 7], dtype=torch.uint8),
    "bool": torch.tensor([True, False, True]),
    "scalar": torch.tensor(1.5),
    "empty": torch.zeros(0, 4),
    "naïve \"name\"": torch.tensor([1.0]),
}
metadata = {"format": "pt", "note": "größe"}
save_file(tensors, "mixed.safetensors", metadata)
facts = {
    name: {
        "shape": list(tensor.shape),
        "hex": bytes(tensor.contiguous().reshape(-1).view(torch.uint8).tolist()).hex()
        if tensor.dim()
        else bytes(tensor.reshape(1).view(torch.uint8).tolist()).hex(),
    }
    for name, tensor in tensors.items()
}
names = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64", "int32": "I32",
         "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL"}
for name, tensor in tensors.items():
    facts[name]["dtype"] = names[str(tensor.dtype).removeprefix("torch.")]
with open("mixed.json", "w", encoding="utf-8") as file:
    json.dump({"metadata": metadata, "tensors": facts}, file, indent=1, ensure_ascii=False)
    file.write("\n")
