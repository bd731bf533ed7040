//! Read-only files in memory: small ones are read, and large ones mapped, so that the rows of a data set larger than memory
//! are paged in on use.
#![allow(
    unsafe_code,
    reason = "required to map a file, to read its bytes as numbers and to hear that it is cut; each use states its reason"
)]

use std::fs::File;
use std::io::{Read, Seek};
use std::ops::Range;
use std::path::Path;

use memmap2::{Mmap, MmapMut};

use crate::error::{Error, Result};

// Files contain little-endian numbers, which are read without conversion.
const _: () = assert!(cfg!(target_endian = "little"), "mapped files are read on little-endian machines only");

/// Files up to this size are read instead of mapped: in large pages, rows in random order are found faster.
const READ: u64 = 1 << 30;

/// A read-only file in memory.
///
/// Map only files that are replaced as a whole (see [`crate::atomic_file`]). If another process truncates a mapped
/// file, reading the missing part kills this process; [`report_lost_parts`] says why.
#[derive(Debug)]
pub struct MappedFile {
    /// `None` for an empty file, which cannot be mapped.
    map: Option<Mmap>,
}

impl MappedFile {
    /// Reads or maps a file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<MappedFile> {
        MappedFile::of_whole(&File::open(&path).map_err(Error::io("read", &path))?, path)
    }

    /// Reads or maps an open file, from its start. Errors name `path`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn of_whole(mut file: &File, path: impl AsRef<Path>) -> Result<MappedFile> {
        let len = file.metadata().map_err(Error::io("read", &path))?.len();
        if len == 0 || len > READ {
            return MappedFile::of(file, path);
        }
        let mut map = MmapMut::map_anon(len as usize).map_err(Error::io("read", &path))?;
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        let read = file.rewind().and_then(|()| file.read_exact(&mut map)).and_then(|()| map.make_read_only());
        Ok(MappedFile { map: Some(read.map_err(Error::io("read", &path))?) })
    }

    /// Maps an open file. Errors name `path`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn of(file: &File, path: impl AsRef<Path>) -> Result<MappedFile> {
        let len = file.metadata().map_err(Error::io("read", &path))?.len();
        if len == 0 {
            return Ok(MappedFile { map: None });
        }
        // SAFETY: the map is read-only and private, and is only borrowed as shared slices. That no other process changes
        // the file is the contract stated above, which no system API can enforce.
        let map = unsafe { Mmap::map(file) }.map_err(Error::io("map", &path))?;
        Ok(MappedFile { map: Some(map) })
    }

    /// Says that the file will be read here and there. Without that, the system reads megabytes around each place that is not in
    /// memory yet, which a file larger than memory then lacks room for.
    pub fn expect_random_reads(&self) {
        #[cfg(unix)]
        if let Some(map) = &self.map {
            // Only speed depends on it.
            let _ = map.advise(memmap2::Advice::Random);
        }
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }

    /// The bytes of `range` as numbers. `None` if the range exceeds the file, is misaligned, or is not a whole number
    /// of elements.
    pub fn numbers<T: Number>(&self, range: Range<usize>) -> Option<&[T]> {
        // SAFETY: `Number` is implemented only for types for which every bit pattern is a valid value.
        let (before, numbers, after) = unsafe { self.bytes().get(range)?.align_to::<T>() };
        (before.is_empty() && after.is_empty()).then_some(numbers)
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        self.bytes()
    }
}

/// What a process says before it ends because a mapped file has lost a part.
const LOST_PART: &str = "error: a file that was being read became shorter or its disk failed: check the input files and the \
                         cache, and run the command again\n";

/// Ends the process with one line and the exit code 1, instead of a crash, when a mapped file loses a part that is read.
/// Call it once at the start of a program. It has an effect on Linux only.
pub fn report_lost_parts() {
    #[cfg(target_os = "linux")]
    {
        extern "C" fn end(_: libc::c_int) {
            // SAFETY: a signal may interrupt anything, and both calls are allowed then. The text is static.
            unsafe {
                libc::write(2, LOST_PART.as_ptr().cast(), LOST_PART.len());
                libc::_exit(1);
            }
        }
        // SAFETY: all zeros are a `sigaction` without flags and with an empty mask, and `end` has the type of a handler.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = end as *const () as libc::sighandler_t;
            action.sa_flags = libc::SA_ONSTACK;
            libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut());
        }
    }
}

/// A number type in files: every bit pattern is a valid value.
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
    fn only_aligned_numbers_within_bounds_are_read() {
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

    #[cfg(target_os = "linux")]
    #[test]
    fn a_mapped_file_that_is_cut_while_it_is_read_ends_the_process_with_one_line() {
        const FILE: &str = "FM_TEST_FILE_TO_CUT";
        if let Some(path) = std::env::var_os(FILE) {
            report_lost_parts();
            let file = MappedFile::of(&File::open(&path).unwrap(), &path).unwrap();
            File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
            unreachable!("{}", std::hint::black_box(file.bytes())[5000]);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers");
        std::fs::write(&path, [7; 10_000]).unwrap();
        let name = "mapped_file::tests::a_mapped_file_that_is_cut_while_it_is_read_ends_the_process_with_one_line";
        let mut reader = std::process::Command::new(std::env::current_exe().unwrap());
        let output = reader.args([name, "--exact", "--nocapture"]).env(FILE, &path).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), stderr.lines().last().map(|line| format!("{line}\n"))),
            (Some(1), Some(LOST_PART.into()))
        );
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
