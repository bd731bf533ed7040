//! Numbers to compute with: one float32 number, or eight at once.

#![allow(unsafe_code, reason = "instructions for eight numbers, and numbers that several threads change")]

use std::ops::{Add, Div, Mul, Sub};

/// One float32 number or several, on which all operations act one by one.
pub trait Number: Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> {
    /// How many float32 numbers these are.
    const LEN: usize;

    /// The same number everywhere.
    fn splat(number: f32) -> Self;

    /// Reads [`Number::LEN`] numbers.
    ///
    /// # Safety
    /// The address must be valid for reads of them.
    unsafe fn read(from: *const f32) -> Self;

    /// Writes [`Number::LEN`] numbers.
    ///
    /// # Safety
    /// The address must be valid for writes of them.
    unsafe fn write(self, to: *mut f32);

    /// self · factor + summand, rounded once where the processor can.
    fn mul_add(self, factor: Self, summand: Self) -> Self;

    /// √self
    fn sqrt(self) -> Self;

    /// 1/√self to 10⁻⁶ of its size, for numbers from 10⁻³⁵ to 10³⁵.
    fn inverse_sqrt(self) -> Self;

    /// |self|
    fn abs(self) -> Self;

    /// The greater one.
    fn max(self, other: Self) -> Self;

    /// |self| with the sign of another number.
    fn copysign(self, sign: Self) -> Self;

    /// `zero` where self is 0, and `other` elsewhere.
    fn if_zero(self, zero: Self, other: Self) -> Self;
}

/// Eight numbers.
pub trait Eight: Number + From<[f32; 8]> {
    /// The sum of the numbers, by halves.
    fn total(self) -> f32;

    /// The first half of these numbers, followed by the first half of others.
    fn first_halves(self, other: Self) -> Self;

    /// The second half of these numbers, followed by the second half of others.
    fn second_halves(self, other: Self) -> Self;
}

impl Number for f32 {
    const LEN: usize = 1;

    #[inline(always)]
    fn splat(number: f32) -> f32 {
        number
    }

    #[inline(always)]
    unsafe fn read(from: *const f32) -> f32 {
        // SAFETY: the caller's.
        unsafe { from.read() }
    }

    #[inline(always)]
    unsafe fn write(self, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { to.write(self) }
    }

    #[inline(always)]
    fn mul_add(self, factor: f32, summand: f32) -> f32 {
        // One rounding would take a call on processors that need two instructions.
        self * factor + summand
    }

    #[inline(always)]
    fn sqrt(self) -> f32 {
        f32::sqrt(self)
    }

    #[inline(always)]
    fn inverse_sqrt(self) -> f32 {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_mm_cvtss_f32, _mm_rsqrt_ss, _mm_set_ss};

            // SAFETY: all x86-64 processors have the instruction.
            newton(unsafe { _mm_cvtss_f32(_mm_rsqrt_ss(_mm_set_ss(self))) }, self)
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            1.0 / f32::sqrt(self)
        }
    }

    #[inline(always)]
    fn abs(self) -> f32 {
        f32::abs(self)
    }

    #[inline(always)]
    fn max(self, other: f32) -> f32 {
        f32::max(self, other)
    }

    #[inline(always)]
    fn copysign(self, sign: f32) -> f32 {
        f32::copysign(self, sign)
    }

    #[inline(always)]
    fn if_zero(self, zero: f32, other: f32) -> f32 {
        if self == 0.0 { zero } else { other }
    }
}

/// Eight numbers, with the instructions of any processor.
#[derive(Clone, Copy)]
pub struct Portable([f32; 8]);

impl Portable {
    #[inline(always)]
    fn with(self, other: Portable, result: impl Fn(f32, f32) -> f32) -> Portable {
        let mut results = self.0;
        for lane in 0..8 {
            results[lane] = result(self.0[lane], other.0[lane]);
        }
        Portable(results)
    }
}

impl Number for Portable {
    const LEN: usize = 8;

    #[inline(always)]
    fn splat(number: f32) -> Portable {
        Portable([number; 8])
    }

    #[inline(always)]
    unsafe fn read(from: *const f32) -> Portable {
        // SAFETY: the caller's.
        Portable(unsafe { from.cast::<[f32; 8]>().read() })
    }

    #[inline(always)]
    unsafe fn write(self, to: *mut f32) {
        // SAFETY: the caller's.
        unsafe { to.cast::<[f32; 8]>().write(self.0) }
    }

    #[inline(always)]
    fn mul_add(self, factor: Portable, summand: Portable) -> Portable {
        self * factor + summand
    }

    #[inline(always)]
    fn sqrt(self) -> Portable {
        Portable(self.0.map(f32::sqrt))
    }

    #[inline(always)]
    fn inverse_sqrt(self) -> Portable {
        Portable(self.0.map(f32::inverse_sqrt))
    }

    #[inline(always)]
    fn abs(self) -> Portable {
        Portable(self.0.map(f32::abs))
    }

    #[inline(always)]
    fn max(self, other: Portable) -> Portable {
        self.with(other, f32::max)
    }

    #[inline(always)]
    fn copysign(self, sign: Portable) -> Portable {
        self.with(sign, f32::copysign)
    }

    #[inline(always)]
    fn if_zero(self, zero: Portable, other: Portable) -> Portable {
        let mut results = other.0;
        for lane in 0..8 {
            results[lane] = self.0[lane].if_zero(zero.0[lane], other.0[lane]);
        }
        Portable(results)
    }
}

impl From<[f32; 8]> for Portable {
    #[inline(always)]
    fn from(numbers: [f32; 8]) -> Portable {
        Portable(numbers)
    }
}

impl Eight for Portable {
    #[inline(always)]
    fn total(self) -> f32 {
        let [a, b, c, d, e, f, g, h] = self.0;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }

    #[inline(always)]
    fn first_halves(self, other: Portable) -> Portable {
        let ([a, b, c, d, ..], [e, f, g, h, ..]) = (self.0, other.0);
        Portable([a, b, c, d, e, f, g, h])
    }

    #[inline(always)]
    fn second_halves(self, other: Portable) -> Portable {
        let ([.., a, b, c, d], [.., e, f, g, h]) = (self.0, other.0);
        Portable([a, b, c, d, e, f, g, h])
    }
}

/// A step of Newton's method from a guess of 1/√x, which squares its relative error. A root and a division take longer.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn newton<N: Number>(guess: N, x: N) -> N {
    let half = x * N::splat(-0.5) * guess;
    guess * half.mul_add(guess, N::splat(1.5))
}

/// Implements the operators of eight numbers a and b.
macro_rules! operators {
    ($number:ident, $a:ident, $b:ident, $($operator:ident $method:ident: $result:expr),*) => {
        $(impl $operator for $number {
            type Output = $number;

            #[inline(always)]
            fn $method(self, other: $number) -> $number {
                let ($a, $b) = (self, other);
                $result
            }
        })*
    };
}

operators!(
    Portable, a, b,
    Add add: a.with(b, |a, b| a + b),
    Sub sub: a.with(b, |a, b| a - b),
    Mul mul: a.with(b, |a, b| a * b),
    Div div: a.with(b, |a, b| a / b)
);

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;
    use std::ops::{Add, Div, Mul, Sub};

    use super::{Eight, Number, newton};

    /// Eight numbers, with the instructions AVX2 and FMA. Only code that has checked that the processor has them may
    /// name this type: `train_part` and a test.
    #[derive(Clone, Copy)]
    pub struct Avx2(__m256);

    /// Eight numbers of one or several instructions.
    macro_rules! eight {
        ($instructions:expr) => {{
            // SAFETY: whoever uses the type has checked that the processor has the instructions.
            Avx2(unsafe { $instructions })
        }};
    }

    impl Number for Avx2 {
        const LEN: usize = 8;

        #[inline(always)]
        fn splat(number: f32) -> Avx2 {
            eight!(_mm256_set1_ps(number))
        }

        #[inline(always)]
        unsafe fn read(from: *const f32) -> Avx2 {
            // SAFETY: the caller's, and as for all methods: the processor has the instructions.
            Avx2(unsafe { _mm256_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn write(self, to: *mut f32) {
            // SAFETY: the caller's.
            unsafe { _mm256_storeu_ps(to, self.0) }
        }

        #[inline(always)]
        fn mul_add(self, factor: Avx2, summand: Avx2) -> Avx2 {
            eight!(_mm256_fmadd_ps(self.0, factor.0, summand.0))
        }

        #[inline(always)]
        fn sqrt(self) -> Avx2 {
            eight!(_mm256_sqrt_ps(self.0))
        }

        #[inline(always)]
        fn inverse_sqrt(self) -> Avx2 {
            newton(eight!(_mm256_rsqrt_ps(self.0)), self)
        }

        #[inline(always)]
        fn abs(self) -> Avx2 {
            eight!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), self.0))
        }

        #[inline(always)]
        fn max(self, other: Avx2) -> Avx2 {
            eight!(_mm256_max_ps(self.0, other.0))
        }

        #[inline(always)]
        fn copysign(self, sign: Avx2) -> Avx2 {
            eight!(_mm256_or_ps(self.abs().0, _mm256_and_ps(_mm256_set1_ps(-0.0), sign.0)))
        }

        #[inline(always)]
        fn if_zero(self, zero: Avx2, other: Avx2) -> Avx2 {
            eight!(_mm256_blendv_ps(other.0, zero.0, _mm256_cmp_ps::<_CMP_EQ_OQ>(self.0, _mm256_setzero_ps())))
        }
    }

    impl From<[f32; 8]> for Avx2 {
        #[inline(always)]
        fn from(numbers: [f32; 8]) -> Avx2 {
            // SAFETY: there are eight numbers, and as for all methods: the processor has the instructions.
            Avx2(unsafe { _mm256_loadu_ps(numbers.as_ptr()) })
        }
    }

    impl Eight for Avx2 {
        #[inline(always)]
        fn total(self) -> f32 {
            // SAFETY: whoever uses the type has checked that the processor has the instructions.
            unsafe {
                let four = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
                let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
                _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
            }
        }

        #[inline(always)]
        fn first_halves(self, other: Avx2) -> Avx2 {
            eight!(_mm256_permute2f128_ps::<0x20>(self.0, other.0))
        }

        #[inline(always)]
        fn second_halves(self, other: Avx2) -> Avx2 {
            eight!(_mm256_permute2f128_ps::<0x31>(self.0, other.0))
        }
    }

    operators!(
        Avx2, a, b,
        Add add: eight!(_mm256_add_ps(a.0, b.0)),
        Sub sub: eight!(_mm256_sub_ps(a.0, b.0)),
        Mul mul: eight!(_mm256_mul_ps(a.0, b.0)),
        Div div: eight!(_mm256_div_ps(a.0, b.0))
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks operations on eight numbers against those on one.
    fn check<V: Eight>() {
        let numbers = |first: f32| std::array::from_fn(|lane| first + 0.75 * lane as f32 - 2.25);
        let (a, b, c): ([f32; 8], [f32; 8], [f32; 8]) = (numbers(0.5), numbers(-0.1), numbers(0.0));
        let (va, vb, vc) = (V::from(a), V::from(b), V::from(c));
        let close = |name: &str, found: V, expected: &dyn Fn(usize) -> f32| {
            let mut lanes = [0.0; 8];
            // SAFETY: there are eight numbers.
            unsafe { found.write(lanes.as_mut_ptr()) };
            for (lane, found) in lanes.into_iter().enumerate() {
                let expected = expected(lane);
                assert!(
                    (found - expected).abs() <= 1e-6 * expected.abs().max(1.0),
                    "{name}: {found}, expected {expected}"
                );
            }
        };
        close("+", va + vb, &|lane| a[lane] + b[lane]);
        close("-", va - vb, &|lane| a[lane] - b[lane]);
        close("*", va * vb, &|lane| a[lane] * b[lane]);
        close("/", va / vb, &|lane| a[lane] / b[lane]);
        close("mul_add", va.mul_add(vb, vc), &|lane| a[lane] * b[lane] + c[lane]);
        close("sqrt", va.abs().sqrt(), &|lane| a[lane].abs().sqrt());
        close("inverse_sqrt", vb.abs().inverse_sqrt(), &|lane| 1.0 / b[lane].abs().sqrt());
        close("max", va.max(vb), &|lane| a[lane].max(b[lane]));
        close("copysign", va.copysign(vb), &|lane| a[lane].copysign(b[lane]));
        close("if_zero", vc.if_zero(va, vb), &|lane| if c[lane] == 0.0 { a[lane] } else { b[lane] });
        close("first_halves", va.first_halves(vb), &|lane| if lane < 4 { a[lane] } else { b[lane - 4] });
        close("second_halves", va.second_halves(vb), &|lane| if lane < 4 { a[lane + 4] } else { b[lane] });
        assert!((va.total() - a.iter().sum::<f32>()).abs() < 1e-5);
        assert!(c.contains(&0.0));
    }

    #[test]
    fn operations_on_eight_numbers_are_those_on_one() {
        check::<Portable>();
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            check::<Avx2>();
        }
    }

    #[test]
    fn inverse_roots_are_exact_to_a_millionth() {
        for exponent in -116..=116 {
            for step in 0..100 {
                let x = (2f32).powi(exponent) * (1.0 + step as f32 / 100.0);
                let exact = 1.0 / f64::from(x).sqrt();
                assert!((f64::from(x.inverse_sqrt()) / exact - 1.0).abs() < 1e-6, "{x}");
            }
        }
    }
}
