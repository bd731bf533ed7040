//! Memory in large pages: reads and writes in random order then find their place faster.
#![allow(unsafe_code, reason = "numbers are read from bytes; every bit pattern is a number")]

use memmap2::MmapMut;

use crate::error::{Error, Result};

/// The size of a large page in bytes.
const PAGE: usize = 2 << 20;

/// Float32 numbers in large pages, where the system has them. The first number begins a page.
///
/// ```
/// let mut numbers = fm_core::large_pages::Numbers::zeros(3)?;
/// numbers.as_mut_slice()[1] = 0.5;
/// assert_eq!(numbers.as_slice(), [0.0, 0.5, 0.0]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Numbers {
    map: MmapMut,
    /// Where the first page begins.
    offset: usize,
    len: usize,
}

impl Numbers {
    /// `len` zeros.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn zeros(len: usize) -> Result<Numbers> {
        let too_many = || Error::Memory(format!("{len} numbers"));
        let size = len.checked_mul(size_of::<f32>()).and_then(|size| size.checked_next_multiple_of(PAGE));
        let size = size.and_then(|size| size.checked_add(PAGE)).ok_or_else(too_many)?;
        // Memory that is never used takes no space.
        let map = MmapMut::map_anon(size).map_err(|_| too_many())?;
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        let offset = map.as_ptr().align_offset(PAGE).min(PAGE);
        Ok(Numbers { map, offset, len })
    }

    /// The numbers.
    pub fn as_slice(&self) -> &[f32] {
        // SAFETY: every bit pattern is a number.
        let (_, numbers, _) = unsafe { self.map[self.offset..].align_to::<f32>() };
        &numbers[..self.len]
    }

    /// The numbers.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: every bit pattern is a number.
        let (_, numbers, _) = unsafe { self.map[self.offset..].align_to_mut::<f32>() };
        &mut numbers[..self.len]
    }
}
