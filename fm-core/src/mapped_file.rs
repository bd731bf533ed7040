//! A file seen as memory, read-only: rows of a data set larger than the memory are paged in as they are used.
#![allow(unsafe_code, reason = "mapping a file and reading its bytes as numbers need it; the reasons stand beside")]

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;

use crate::error::{Error, Result};

// Files hold little-endian numbers and are read without conversion.
const _: () = assert!(cfg!(target_endian = "little"), "mapped files are read on little-endian machines only");

/// A read-only mapped file.
///
/// Map only files that are replaced as a whole (see [`crate::atomic_file`]): one that another process cuts short while
/// it is mapped ends this process when the missing part is read.
#[derive(Debug)]
pub struct MappedFile {
    /// `None` for an empty file, which cannot be mapped.
    map: Option<Mmap>,
}

impl MappedFile {
    /// Maps a file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<MappedFile> {
        let file = File::open(&path).map_err(Error::io("read", &path))?;
        let len = file.metadata().map_err(Error::io("read", &path))?.len();
        if len == 0 {
            return Ok(MappedFile { map: None });
        }
        // SAFETY: the map is read-only and private, and is only handed out as shared slices that live no longer. That
        // nobody changes the file underneath is the contract stated above, which no API of the system can enforce.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io("map", &path))?;
        Ok(MappedFile { map: Some(map) })
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }

    /// The bytes of `range` as numbers; `None` if the range leaves the file, is not aligned for them, or does not hold
    /// a whole number of them.
    pub fn numbers<T: Number>(&self, range: Range<usize>) -> Option<&[T]> {
        // SAFETY: `Number` is implemented for types alone of which every bit pattern is a value.
        let (before, numbers, after) = unsafe { self.bytes().get(range)?.align_to::<T>() };
        (before.is_empty() && after.is_empty()).then_some(numbers)
    }
}

/// A number that a file can hold: any bytes are a value of it.
pub trait Number: sealed::Sealed {}
impl Number for u32 {}
impl Number for u64 {}
impl Number for i64 {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u32 {}
    impl Sealed for u64 {}
    impl Sealed for i64 {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_within_bounds_and_aligned_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers");
        std::fs::write(&path, [1u8, 0, 0, 0, 255, 255, 255, 255, 7]).unwrap();
        let file = MappedFile::open(&path).unwrap();
        assert_eq!(file.bytes().len(), 9);
        assert_eq!(file.numbers::<u32>(0..8), Some(&[1, u32::MAX][..]));
        assert_eq!(file.numbers::<u32>(1..5), None);
        assert_eq!(file.numbers::<u32>(0..7), None);
        assert_eq!(file.numbers::<i64>(4..12), None);
    }

    #[test]
    fn an_empty_file_has_no_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty");
        std::fs::write(&path, []).unwrap();
        assert!(MappedFile::open(&path).unwrap().bytes().is_empty());
        assert!(MappedFile::open(folder.path().join("none")).unwrap_err().to_string().starts_with("cannot read"));
    }
}
