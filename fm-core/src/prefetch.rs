//! Hints to the processor about memory that is needed soon.
#![allow(unsafe_code, reason = "the instruction takes an address; it never fails and changes nothing")]

/// The size of a cache line in bytes.
pub const LINE: usize = 64;

/// Starts to load the cache lines of a slice. Does nothing on processors other than x86-64.
#[inline(always)]
pub fn prefetch<T>(slice: &[T]) {
    let first = slice.as_ptr().cast::<u8>();
    let start = first.wrapping_sub(first.addr() % LINE);
    for line in 0..(first.addr() % LINE + size_of_val(slice)).div_ceil(LINE) {
        prefetch_line(start.wrapping_add(line * LINE));
    }
}

/// Starts to load the cache line of any address. Does nothing on processors other than x86-64.
#[inline(always)]
pub fn prefetch_line<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

        // SAFETY: a prefetch does not access memory as the program sees it, and any address is allowed.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
