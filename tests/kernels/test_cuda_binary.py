#!/usr/bin/env python3
"""Checks the machine code of the kernels for GPUs, without one: the architectures that the library holds, and that no kernel
uses more registers than stated here, or memory for registers that it has not.

usage: tests/kernels/test_cuda_binary.py --library LIBRARY --cuobjdump PROGRAM
"""

import argparse
import re
import subprocess
import sys
import unittest

# Registers of a thread, and bytes of memory that stand in for some. A block has 128 threads: of 65,536 registers, 255 leave
# room for two blocks on a multiprocessor.
MOST_REGISTERS, MOST_STACK_BYTES = 255, 64
KERNELS = {(element, width) for element in ("bf16", "f32") for width in (64, 128, 256)}
KERNEL = re.compile(r"Function (\S*attendI(f|13__nv_bfloat16)Li(\d+)E\S*):\s+REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")
# The kernels of rows, entries and choices: blocks of 256 threads, of which four fit a multiprocessor, and no memory for registers.
MOST_REGISTERS_OF_ROWS = 64
ROW_KERNELS = {f"{name}Block" for name in ("Norm", "Rotation", "Gate", "Loss", "Append", "Compact", "Gather", "Score", "Noise", "Choice")}
ROW_KERNEL = re.compile(r"Function \S*run_kernelINS0_\d+([A-Z][a-z]+Block)\S*:\s+REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")
ARGUMENTS = argparse.Namespace()


def dumped(*options):
    return subprocess.run(
        [ARGUMENTS.cuobjdump, *options, ARGUMENTS.library], capture_output=True, text=True, check=True
    ).stdout


class MachineCode(unittest.TestCase):
    def test_architectures(self):
        machine_code = set(re.findall(r"\.(sm_\d+)\.cubin", dumped("--list-elf")))
        self.assertLessEqual({"sm_80", "sm_90"}, machine_code)
        self.assertRegex(dumped("--list-ptx"), r"\.sm_90\.ptx")

    def test_registers_and_memory(self):
        found = KERNEL.findall(dumped("--dump-resource-usage"))
        by_kernel = {}
        for _, element, width, registers, stack, _, local in found:
            kernel = ("f32" if element == "f" else "bf16", int(width))
            by_kernel.setdefault(kernel, []).append((int(registers), int(stack), int(local)))
        self.assertEqual(set(by_kernel), KERNELS)
        for kernel, uses in by_kernel.items():
            self.assertGreaterEqual(len(uses), 2, "sm_80 and sm_90")
            for registers, stack, local in uses:
                with self.subTest(kernel=kernel):
                    self.assertLessEqual(registers, MOST_REGISTERS)
                    self.assertLessEqual(stack, MOST_STACK_BYTES)
                    self.assertEqual(local, 0)

    def test_registers_of_rows(self):
        found = ROW_KERNEL.findall(dumped("--dump-resource-usage"))
        self.assertEqual({name for name, *_ in found}, ROW_KERNELS)
        for name, registers, stack, _, local in found:
            with self.subTest(kernel=name):
                self.assertLessEqual(int(registers), MOST_REGISTERS_OF_ROWS)
                self.assertEqual((int(stack), int(local)), (0, 0))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", required=True)
    parser.add_argument("--cuobjdump", required=True)
    parser.parse_args(namespace=ARGUMENTS)
    unittest.main(argv=sys.argv[:1])


if __name__ == "__main__":
    main()
