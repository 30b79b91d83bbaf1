"""The operators that are registered for CUDA, called on tensors of the CPU: no GPU is needed, as they are made of torch's own."""

import torch

from foresight_kv.operators import load_operators


class ComposedOperators:
    """Stands for torch.ops.foresight; the kernel of the dispatch key CUDA is called, whatever the tensors' device."""

    def __getattr__(self, name):
        packet = getattr(load_operators(), name)

        def call(*arguments):
            return packet.default._op_dk(torch._C.DispatchKey.CUDA, *arguments)

        return call
