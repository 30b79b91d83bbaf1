"""Reference values of trainer/base/random.h for tests/base/test_random.cpp, written from its description:
SplitMix64 (Steele, Lea, Flood 2014) whose state is the seed, the FNV-1a hash of the name and each index, absorbed in turn.
Run: python3 tests/reference/random_streams.py"""

MASK = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def fnv1a(name):
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) & MASK
    return value


def absorb(key, value):
    return mix(((key + GAMMA) & MASK) ^ mix((value + GAMMA) & MASK))


def stream(seed, name, indices, count):
    state = absorb(absorb(0, seed), fnv1a(name))
    for index in indices:
        state = absorb(state, index & MASK)
    return splitmix(state, count)


def splitmix(state, count):
    numbers = []
    for _ in range(count):
        state = (state + GAMMA) & MASK
        numbers.append(mix(state))
    return numbers


if __name__ == "__main__":
    # The published implementation, seeded with 1234567, begins 6457827717110365317, 3203168211198807973.
    print("state 1234567:", splitmix(1234567, 5))
    print("state 0:", [hex(n) for n in splitmix(0, 3)])
    print("(1, rollout, {3, 0, 7}):", stream(1, "rollout", [3, 0, 7], 3))
    print("(1, rollout, {-1}):", stream(1, "rollout", [-1], 2))
    print("(0, '', {}):", stream(0, "", [], 2))
