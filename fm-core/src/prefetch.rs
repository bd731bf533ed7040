//! Hints to the processor about memory that is needed soon.
#![allow(unsafe_code, reason = "the instruction takes an address; it never fails and changes nothing")]

/// The size of a cache line in bytes.
pub const LINE: usize = 64;

/// Starts to load the cache lines of a slice. Does nothing on processors other than x86-64.
#[inline(always)]
pub fn prefetch<T>(slice: &[T]) {
    let first = slice.as_ptr().cast::<u8>();
    // The number of steps does not depend on the address, so that the processor predicts their end.
    for at in (0..size_of_val(slice)).step_by(LINE) {
        prefetch_line(first.wrapping_add(at));
    }
    prefetch_line(first.wrapping_add(size_of_val(slice)).wrapping_sub(1));
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
