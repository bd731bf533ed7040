//! The file of encoded rows: the positions of its sections, its header and its end.
//! [`Records::save`](super::Records::save) documents the format.

use std::io::Write;
use std::marker::PhantomData;
use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;

use super::records::{BLOCK, Starts};
use crate::mapped_file::{MappedFile, Number};
use crate::schema::Schema;

const MAGIC: [u8; 8] = *b"FMROWS\0\0";

/// The version of the format. The library reads only this version.
pub const ROWS_FORMAT: u32 = 4;

pub(super) const ALIGNMENT: usize = 64;

/// The positions of the parts of a file.
#[derive(Debug)]
pub(super) struct Sections {
    pub rows: usize,
    pub has_weights: bool,
    pub words: Section<u32>,
    pub row_starts: Section<u32>,
    pub block_starts: Section<u64>,
    pub groups: Option<Section<i64>>,
    /// The length of the file in bytes.
    end: usize,
}

/// Numbers in a file.
#[derive(Debug)]
pub(super) struct Section<T> {
    bytes: Range<usize>,
    numbers: PhantomData<T>,
}

impl<T: Number> Section<T> {
    /// A section of `len` numbers, which starts at the first multiple of the alignment that is at least `after`; `None`
    /// beyond the address space.
    fn new(after: usize, len: usize) -> Option<Section<T>> {
        let start = after.checked_next_multiple_of(ALIGNMENT)?;
        let end = start.checked_add(len.checked_mul(size_of::<T>())?)?;
        Some(Section { bytes: start..end, numbers: PhantomData })
    }

    /// The numbers of the section in a file.
    pub fn of<'a>(&self, file: &'a MappedFile) -> &'a [T] {
        file.numbers(self.bytes.clone()).unwrap_or_default()
    }
}

impl Sections {
    /// `None` if the file would be larger than the address space.
    pub fn new(rows: usize, words: usize, has_weights: bool, has_groups: bool) -> Option<Sections> {
        let words = Section::new(ALIGNMENT, words)?;
        let row_starts = Section::new(words.bytes.end, rows)?;
        let block_starts = Section::new(row_starts.bytes.end, rows.div_ceil(BLOCK) + 1)?;
        let groups = if has_groups { Some(Section::new(block_starts.bytes.end, rows)?) } else { None };
        let end = groups.as_ref().map_or(block_starts.bytes.end, |groups| groups.bytes.end);
        Some(Sections { rows, has_weights, words, row_starts, block_starts, groups, end })
    }

    /// Reads the header of a file, and checks the file's length.
    pub fn read(bytes: &[u8], schema: &Schema) -> Result<Sections, String> {
        let header: &[u8; ALIGNMENT] = bytes.first_chunk().ok_or("its header is missing")?;
        let field = |range: Range<usize>| &header[range];
        let u32_at = |at| field(at..at + 4).try_into().map_or(0, u32::from_le_bytes);
        let u64_at = |at| field(at..at + 8).try_into().map_or(0, u64::from_le_bytes);
        let (version, flags, rows, words) = (u32_at(8), u32_at(12), u64_at(16), u64_at(24));
        if field(0..8) != MAGIC {
            return Err("its header is missing".into());
        }
        if version != ROWS_FORMAT {
            return Err(format!("its format is {version}, but this version reads only {ROWS_FORMAT}"));
        }
        if u64_at(32) != hash(schema) {
            return Err("it was encoded with another schema".into());
        }
        if flags > 3 || field(40..ALIGNMENT).iter().any(|&byte| byte != 0) {
            return Err("its header has unknown flags".into());
        }
        let sections = usize::try_from(rows).ok().zip(usize::try_from(words).ok());
        let sections = sections.and_then(|(rows, words)| Sections::new(rows, words, flags & 1 != 0, flags & 2 != 0));
        let sections = sections.ok_or_else(|| format!("its header declares {rows} rows in {words} words"))?;
        match bytes.len() {
            len if len != sections.end => Err(format!("it has {len} bytes instead of {}", sections.end)),
            _ if !sections.gaps().all(|gap| bytes[gap].iter().all(|&byte| byte == 0)) => {
                Err("it has bytes between its sections".into())
            }
            _ => Ok(sections),
        }
    }

    /// The bytes before each section that is not the first.
    fn gaps(&self) -> impl Iterator<Item = Range<usize>> {
        let groups = self.groups.as_ref().map(|groups| groups.bytes.clone());
        let sections = [&self.words.bytes, &self.row_starts.bytes, &self.block_starts.bytes].map(Range::clone);
        let sections: Vec<Range<usize>> = sections.into_iter().chain(groups).collect();
        (1..sections.len()).map(move |next| sections[next - 1].end..sections[next].start)
    }

    /// The first bytes of a file.
    pub fn header(&self, schema: &Schema) -> [u8; ALIGNMENT] {
        let flags = u32::from(self.has_weights) | u32::from(self.groups.is_some()) << 1;
        let words = (self.words.bytes.len() / size_of::<u32>()) as u64;
        let mut header = [0; ALIGNMENT];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&ROWS_FORMAT.to_le_bytes());
        header[12..16].copy_from_slice(&flags.to_le_bytes());
        header[16..24].copy_from_slice(&(self.rows as u64).to_le_bytes());
        header[24..32].copy_from_slice(&words.to_le_bytes());
        header[32..40].copy_from_slice(&hash(schema).to_le_bytes());
        header
    }

    /// Writes what follows the records of a file.
    pub fn write_end(&self, file: &mut impl Write, starts: Starts<'_>, groups: Option<&[i64]>) -> std::io::Result<()> {
        let mut written = self.words.bytes.end;
        let mut pad_to = |file: &mut dyn Write, section: &Range<usize>| {
            file.write_all(&[0; ALIGNMENT][..section.start - written])?;
            written = section.end;
            Ok::<(), std::io::Error>(())
        };
        pad_to(file, &self.row_starts.bytes)?;
        write_numbers(file, starts.rows, u32::to_le_bytes)?;
        pad_to(file, &self.block_starts.bytes)?;
        write_numbers(file, starts.blocks, u64::to_le_bytes)?;
        if let (Some(section), Some(groups)) = (&self.groups, groups) {
            pad_to(file, &section.bytes)?;
            write_numbers(file, groups, i64::to_le_bytes)?;
        }
        Ok(())
    }
}

/// A hash that is equal for equal schemas, on every machine.
fn hash(schema: &Schema) -> u64 {
    xxh3_64(schema.to_json().as_bytes())
}

/// Calls `take` with the bytes of up to 64 numbers at a time.
pub(super) fn for_bytes<T: Copy, const SIZE: usize>(
    numbers: &[T],
    to_bytes: impl Fn(T) -> [u8; SIZE],
    mut take: impl FnMut(&[u8]),
) {
    let mut bytes = [[0; SIZE]; 64];
    for numbers in numbers.chunks(bytes.len()) {
        let bytes = &mut bytes[..numbers.len()];
        // Compiles to a copy where the processor has the same byte order.
        bytes.iter_mut().zip(numbers).for_each(|(to, &number)| *to = to_bytes(number));
        take(bytes.as_flattened());
    }
}

/// Writes numbers.
pub(super) fn write_numbers<T: Copy, const SIZE: usize>(
    file: &mut impl Write,
    numbers: &[T],
    to_bytes: impl Fn(T) -> [u8; SIZE],
) -> std::io::Result<()> {
    let mut written = Ok(());
    for_bytes(numbers, to_bytes, |bytes| {
        if written.is_ok() {
            written = file.write_all(bytes);
        }
    });
    written
}
