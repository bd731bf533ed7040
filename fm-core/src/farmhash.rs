//! FarmHash's 64-bit fingerprint, which TensorFlow uses to hash strings into buckets.
//!
//! Source: `farmhash::Fingerprint64` of Google's FarmHash (Geoff Pike, 2014, MIT licence),
//! <https://github.com/google/farmhash>. Fingerprints are the same on every machine and in every version.

use std::num::Wrapping;

/// Arithmetic wraps around on overflow, as in the original.
type Word = Wrapping<u64>;

const K0: Word = Wrapping(0xc3a5_c85c_97cb_3127);
const K1: Word = Wrapping(0xb492_b66f_be98_f273);
const K2: Word = Wrapping(0x9ae1_6a3b_2f90_404f);

/// The bucket of a text, from 0 to `buckets - 1`, as in TensorFlow's `categorical_column_with_hash_bucket` and
/// `tf.strings.to_hash_bucket_fast`. They hash integers as decimal text.
///
/// # Panics
/// If `buckets` is 0.
pub fn bucket(text: &str, buckets: u32) -> u32 {
    (fingerprint64(text.as_bytes()) % u64::from(buckets)) as u32
}

/// The fingerprint of a byte string.
pub fn fingerprint64(bytes: &[u8]) -> u64 {
    let hash = match bytes.len() {
        0..=16 => up_to_16(bytes),
        17..=32 => up_to_32(bytes),
        33..=64 => up_to_64(bytes),
        _ => over_64(bytes),
    };
    hash.0
}

fn up_to_16(bytes: &[u8]) -> Word {
    let n = bytes.len();
    let length = word_of(n);
    let factor = K2 + length * Wrapping(2);
    match n {
        0 => K2,
        1..=3 => {
            let byte = |at: usize| Wrapping(u64::from(bytes[at]));
            let (y, z) = (byte(0) + (byte(n / 2) << 8), length + (byte(n - 1) << 2));
            shift_mix((y * K2) ^ (z * K0)) * K2
        }
        4..=7 => mix(length + (half_word(bytes, 0) << 3), half_word(bytes, n - 4), factor),
        _ => {
            let (a, b) = (word(bytes, 0) + K2, word(bytes, n - 8));
            mix(rotate(b, 37) * factor + a, (rotate(a, 25) + b) * factor, factor)
        }
    }
}

fn up_to_32(bytes: &[u8]) -> Word {
    let n = bytes.len();
    let factor = K2 + word_of(n) * Wrapping(2);
    let (a, b) = (word(bytes, 0) * K1, word(bytes, 8));
    let (c, d) = (word(bytes, n - 8) * factor, word(bytes, n - 16) * K2);
    mix(rotate(a + b, 43) + rotate(c, 30) + d, a + rotate(b + K2, 18) + c, factor)
}

fn up_to_64(bytes: &[u8]) -> Word {
    let n = bytes.len();
    let factor = K2 + word_of(n) * Wrapping(2);
    let (a, b) = (word(bytes, 0) * K2, word(bytes, 8));
    let (c, d) = (word(bytes, n - 8) * factor, word(bytes, n - 16) * K2);
    let y = rotate(a + b, 43) + rotate(c, 30) + d;
    let z = mix(y, a + rotate(b + K2, 18) + c, factor);
    let (e, f) = (word(bytes, 16) * factor, word(bytes, 24));
    let (g, h) = ((y + word(bytes, n - 32)) * factor, (z + word(bytes, n - 24)) * factor);
    mix(rotate(e + f, 43) + rotate(g, 30) + h, e + rotate(f + a, 18) + g, factor)
}

fn over_64(bytes: &[u8]) -> Word {
    let n = bytes.len();
    let seed = Wrapping(81);
    let y = seed * K1 + Wrapping(113);
    let zero = Wrapping(0);
    let mut state = State {
        x: seed * K2 + word(bytes, 0),
        y,
        z: shift_mix(y * K2 + Wrapping(113)) * K2,
        v: (zero, zero),
        w: (zero, zero),
    };
    // The last 1 to 64 bytes are processed at the end.
    for block in bytes[..n - 1].chunks_exact(64) {
        state.take(block, K1, Wrapping(1));
    }
    let factor = K1 + ((state.z & Wrapping(0xff)) << 1);
    state.w.0 += word_of((n - 1) % 64);
    state.v.0 += state.w.0;
    state.w.0 += state.v.0;
    state.take(&bytes[n - 64..], factor, Wrapping(9));
    let State { x, y, z, v, w } = state;
    mix(mix(v.0, w.0, factor) + shift_mix(y) * K0 + z, mix(v.1, w.1, factor) + x, factor)
}

/// The state after a number of blocks.
struct State {
    x: Word,
    y: Word,
    z: Word,
    v: (Word, Word),
    w: (Word, Word),
}

impl State {
    /// Processes a block of 64 bytes.
    fn take(&mut self, block: &[u8], factor: Word, weight: Word) {
        let State { x, y, z, v, w } = self;
        *x = rotate(*x + *y + v.0 + word(block, 8), 37) * factor;
        *y = rotate(*y + v.1 + word(block, 48), 42) * factor;
        *x ^= w.1 * weight;
        *y += v.0 * weight + word(block, 40);
        *z = rotate(*z + w.0, 33) * factor;
        *v = weak_hash(&block[..32], v.1 * factor, *x + w.0);
        *w = weak_hash(&block[32..], *z + w.1, *y + word(block, 16));
        std::mem::swap(x, z);
    }
}

/// Two words from 32 bytes.
fn weak_hash(bytes: &[u8], a: Word, b: Word) -> (Word, Word) {
    let start = a + word(bytes, 0);
    let sum = start + word(bytes, 8) + word(bytes, 16);
    let last = word(bytes, 24);
    (sum + last, rotate(b + start + last, 21) + rotate(sum, 44) + start)
}

fn mix(u: Word, v: Word, factor: Word) -> Word {
    let a = shift_mix((u ^ v) * factor);
    shift_mix((v ^ a) * factor) * factor
}

fn shift_mix(word: Word) -> Word {
    word ^ (word >> 47)
}

fn rotate(word: Word, bits: u32) -> Word {
    Wrapping(word.0.rotate_right(bits))
}

fn word_of(n: usize) -> Word {
    Wrapping(n as u64)
}

/// The 8 bytes from `at`, little-endian.
fn word(bytes: &[u8], at: usize) -> Word {
    half_word(bytes, at) | (half_word(bytes, at + 4) << 32)
}

/// The 4 bytes from `at`, little-endian.
fn half_word(bytes: &[u8], at: usize) -> Word {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    Wrapping(u64::from(u32::from_le_bytes(four)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_of_tensorflow() {
        // Inputs and ids of `categorical_column_with_hash_bucket` with 10 buckets, TensorFlow 2.15.1.
        let numbers = [
            1100, 1101, 1102, 1103, 1104, 1105, 1107, 1108, 1109, 1110, 1112, 1113, 1114, 1116, 1117, 1118, 2200, 2201,
            2202, 2203, 2205, 2210, 2216, 2218,
        ];
        let buckets = numbers.map(|number: u32| bucket(&number.to_string(), 10));
        assert_eq!(buckets, [0, 5, 9, 8, 5, 7, 8, 0, 9, 7, 6, 8, 3, 9, 5, 3, 6, 4, 7, 6, 9, 6, 8, 8]);
        assert_eq!((bucket("anything", 1), bucket("", 1)), (0, 0));
    }

    /// `n` bytes that are easy to produce in other languages.
    fn bytes(n: u64) -> Vec<u8> {
        (0..n).map(|i| (i * i % 251) as u8).collect()
    }

    #[test]
    fn fingerprints_are_those_of_the_original_at_any_length() {
        // From FarmHash's C++ code in pyfarmhash 0.5.1.
        let of_original = [
            (0, 0x9ae1_6a3b_2f90_404f),
            (1, 0xbe60_56ed_f5e9_4b54),
            (3, 0xf167_6d45_4441_3276),
            (4, 0xd0f7_7762_0b82_0c65),
            (7, 0xd52e_fe99_5081_dfcf),
            (8, 0x4a47_b9d8_4bbb_9b7c),
            (16, 0x04a5_a96a_78dd_c48c),
            (17, 0x748c_7ec1_28c8_06b2),
            (32, 0x6cf7_291f_7aaf_014f),
            (33, 0x1be1_ea04_10c6_89f9),
            (64, 0xdc11_d64e_5d83_f177),
            (65, 0xb498_280f_1033_9952),
            (127, 0xaeaa_4c8a_fdca_3bb2),
            (128, 0x4b87_86a9_6aa9_5ef3),
            (129, 0x0810_d057_28da_d76e),
            (192, 0x6bde_758d_8512_dda4),
        ];
        for (n, expected) in of_original {
            assert_eq!(fingerprint64(&bytes(n)), expected, "of {n} bytes");
        }
        let fold = |all: u64, n| all.wrapping_mul(31).wrapping_add(fingerprint64(&bytes(n)));
        assert_eq!((0..=1024).fold(0, fold), 0xdb76_7b16_3878_474b, "of 0 to 1024 bytes");
    }
}
