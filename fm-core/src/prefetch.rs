//! Hints to the processor about memory that is needed soon.
#![allow(unsafe_code, reason = "the instruction takes an address; it never fails and changes nothing")]

/// Starts to load the cache lines of a slice. Does nothing on processors other than x86-64.
#[inline(always)]
pub fn prefetch<T>(slice: &[T]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};

        const LINE: usize = 64;
        let first = slice.as_ptr().cast::<i8>();
        // The first byte of the slice may be the last one of its cache line.
        let last = size_of_val(slice).checked_sub(1);
        for at in (0..last.unwrap_or(0)).step_by(LINE).chain(last) {
            // SAFETY: the address is inside the slice, and a prefetch does not access memory as the program sees it.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(at)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = slice;
}
