# The buckets of hashed values, a part of the methods of an exported module.


# FarmHash's 64-bit fingerprint, as in `farmhash.rs`, modulo the number of buckets. Integers are signed and wrap around.
def _bucket(self, text: str, buckets: int) -> int:
    bytes = self._bytes(text)
    if len(bytes) <= 16:
        hash = self._hash_up_to_16(bytes)
    elif len(bytes) <= 32:
        hash = self._hash_up_to_32(bytes)
    elif len(bytes) <= 64:
        hash = self._hash_up_to_64(bytes)
    else:
        hash = self._hash_over_64(bytes)
    upper = (hash >> 1) & 9223372036854775807
    return (upper % buckets * 2 + (hash & 1)) % buckets


def _hash_up_to_16(self, bytes: List[int]) -> int:
    k0, k2 = -4348849565147123417, -7286425919675154353
    n = len(bytes)
    factor = k2 + 2 * n
    if n >= 8:
        a, b = self._word(bytes, 0) + k2, self._word(bytes, n - 8)
        return self._mix(self._rotate(b, 37) * factor + a, (self._rotate(a, 25) + b) * factor, factor)
    if n >= 4:
        return self._mix(n + (self._half_word(bytes, 0) << 3), self._half_word(bytes, n - 4), factor)
    y, z = bytes[0] + (bytes[n // 2] << 8), n + (bytes[n - 1] << 2)
    return self._shift_mix(y * k2 ^ z * k0) * k2


def _hash_up_to_32(self, bytes: List[int]) -> int:
    k1, k2 = -5435081209227447693, -7286425919675154353
    n = len(bytes)
    factor = k2 + 2 * n
    a, b = self._word(bytes, 0) * k1, self._word(bytes, 8)
    c, d = self._word(bytes, n - 8) * factor, self._word(bytes, n - 16) * k2
    u = self._rotate(a + b, 43) + self._rotate(c, 30) + d
    return self._mix(u, a + self._rotate(b + k2, 18) + c, factor)


def _hash_up_to_64(self, bytes: List[int]) -> int:
    k2 = -7286425919675154353
    n = len(bytes)
    factor = k2 + 2 * n
    a, b = self._word(bytes, 0) * k2, self._word(bytes, 8)
    c, d = self._word(bytes, n - 8) * factor, self._word(bytes, n - 16) * k2
    y = self._rotate(a + b, 43) + self._rotate(c, 30) + d
    z = self._mix(y, a + self._rotate(b + k2, 18) + c, factor)
    e, f = self._word(bytes, 16) * factor, self._word(bytes, 24)
    g, h = (y + self._word(bytes, n - 32)) * factor, (z + self._word(bytes, n - 24)) * factor
    u = self._rotate(e + f, 43) + self._rotate(g, 30) + h
    return self._mix(u, e + self._rotate(f + a, 18) + g, factor)


def _hash_over_64(self, bytes: List[int]) -> int:
    k0, k1, k2 = -4348849565147123417, -5435081209227447693, -7286425919675154353
    n = len(bytes)
    y = 81 * k1 + 113
    x = 81 * k2 + self._word(bytes, 0)
    z = self._shift_mix(y * k2 + 113) * k2
    v0, v1, w0, w1 = 0, 0, 0, 0
    # The last block is the last 64 bytes, which can overlap with the block before. It has its own weights.
    blocks = (n - 1) // 64
    factor, weight = k1, 1
    for block in range(blocks + 1):
        at = block * 64
        if block == blocks:
            at = n - 64
            factor, weight = k1 + ((z & 255) << 1), 9
            w0 += (n - 1) % 64
            v0 += w0
            w0 += v0
        x = self._rotate(x + y + v0 + self._word(bytes, at + 8), 37) * factor
        y = self._rotate(y + v1 + self._word(bytes, at + 48), 42) * factor
        x = x ^ w1 * weight
        y += v0 * weight + self._word(bytes, at + 40)
        z = self._rotate(z + w0, 33) * factor
        v0, v1 = self._weak_hash(bytes, at, v1 * factor, x + w0)
        w0, w1 = self._weak_hash(bytes, at + 32, z + w1, y + self._word(bytes, at + 16))
        x, z = z, x
    u = self._mix(v0, w0, factor) + self._shift_mix(y) * k0 + z
    return self._mix(u, self._mix(v1, w1, factor) + x, factor)


def _weak_hash(self, bytes: List[int], at: int, a: int, b: int) -> Tuple[int, int]:
    start = a + self._word(bytes, at)
    sum = start + self._word(bytes, at + 8) + self._word(bytes, at + 16)
    last = self._word(bytes, at + 24)
    return sum + last, self._rotate(b + start + last, 21) + self._rotate(sum, 44) + start


def _mix(self, u: int, v: int, factor: int) -> int:
    a = self._shift_mix((u ^ v) * factor)
    return self._shift_mix((v ^ a) * factor) * factor


def _shift_mix(self, word: int) -> int:
    return word ^ ((word >> 47) & 131071)


def _rotate(self, word: int, bits: int) -> int:
    return ((word >> bits) & ((1 << (64 - bits)) - 1)) | (word << (64 - bits))


def _word(self, bytes: List[int], at: int) -> int:
    return self._half_word(bytes, at) | (self._half_word(bytes, at + 4) << 32)


def _half_word(self, bytes: List[int], at: int) -> int:
    return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)
