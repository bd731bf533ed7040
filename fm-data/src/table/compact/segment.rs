//! Some consecutive rows of a column as bytes, in memory or in a file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use fm_core::mapped_file::MappedFile;
use polars::prelude::StringChunked;

use crate::table::NO_CODE;

/// Number of rows of a segment; the last one of a column may be shorter.
pub(super) const ROWS: usize = 1 << 16;

/// The bit of an end that says that the text is null.
const NULL: u64 = 1 << 63;

/// Bytes in memory or in a file.
#[derive(Debug)]
pub(super) enum Bytes {
    Memory(Vec<u8>),
    File(Arc<MappedFile>, Range<usize>),
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Bytes::Memory(bytes) => bytes,
            Bytes::File(file, range) => &file.bytes()[range.clone()],
        }
    }

    /// The number of bytes in memory.
    fn in_memory(&self) -> usize {
        match self {
            Bytes::Memory(bytes) => bytes.len(),
            Bytes::File(..) => 0,
        }
    }
}

/// The rows of a segment.
#[derive(Debug)]
pub(super) enum Segment {
    /// The number of each row's text among the distinct texts of the column, in `width` bytes; the largest number stands for
    /// null.
    Codes { width: usize, codes: Bytes },
    /// The texts one after the other, and where each ends, in 8 bytes.
    Texts { ends: Bytes, texts: Bytes },
}

impl Segment {
    /// The same rows, to be read.
    pub fn cells(&self) -> Cells<'_> {
        match self {
            Segment::Codes { width, codes } => of_codes(*width, codes.get()),
            Segment::Texts { ends, texts } => Cells::Texts { ends: ends.get().as_chunks().0, texts: texts.get() },
        }
    }

    /// The number of bytes in memory.
    pub fn in_memory(&self) -> usize {
        match self {
            Segment::Codes { codes, .. } => codes.in_memory(),
            Segment::Texts { ends, texts } => ends.in_memory() + texts.in_memory(),
        }
    }

    fn parts(&mut self) -> impl Iterator<Item = &mut Bytes> {
        match self {
            Segment::Codes { codes, .. } => [Some(codes), None],
            Segment::Texts { ends, texts } => [Some(ends), Some(texts)],
        }
        .into_iter()
        .flatten()
    }
}

/// Moves segments to a file without a name in a folder: it takes no space once the process ends, however it ends.
pub(super) fn move_to_file<'a>(segments: impl Iterator<Item = &'a mut Segment>, folder: &Path) -> io::Result<()> {
    let file: File = tempfile::tempfile_in(folder)?;
    let mut parts: Vec<&mut Bytes> = segments.flat_map(Segment::parts).collect();
    let (mut writer, mut at) = (BufWriter::with_capacity(1 << 20, &file), 0);
    let mut ranges = Vec::with_capacity(parts.len());
    for part in &parts {
        writer.write_all(part.get())?;
        ranges.push(at..at + part.get().len());
        at += part.get().len();
    }
    writer.flush()?;
    drop(writer);
    let file = Arc::new(MappedFile::of(&file, folder).map_err(io::Error::other)?);
    for (part, range) in parts.iter_mut().zip(ranges) {
        **part = Bytes::File(Arc::clone(&file), range);
    }
    Ok(())
}

/// The rows of a segment, to be read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cells<'a> {
    Bytes(&'a [u8]),
    Shorts(&'a [[u8; 2]]),
    Words(&'a [[u8; 4]]),
    Texts { ends: &'a [[u8; 8]], texts: &'a [u8] },
}

impl<'a> Cells<'a> {
    /// The code of a row; [`NO_CODE`] for null, and if the rows are texts.
    ///
    /// # Panics
    /// If `row` is not a row of the segment.
    #[inline]
    pub fn code(&self, row: usize) -> u32 {
        match self {
            Cells::Bytes(codes) => widened(codes[row].into(), u8::MAX.into()),
            Cells::Shorts(codes) => widened(u16::from_le_bytes(codes[row]).into(), u16::MAX.into()),
            Cells::Words(codes) => u32::from_le_bytes(codes[row]),
            Cells::Texts { .. } => NO_CODE,
        }
    }

    /// Appends the [codes](Cells::code) of some rows.
    ///
    /// # Panics
    /// If one of them is not a row of the segment.
    pub fn codes_of(&self, rows: impl Iterator<Item = usize>, to: &mut Vec<u32>) {
        match self {
            Cells::Bytes(codes) => to.extend(rows.map(|row| widened(codes[row].into(), u8::MAX.into()))),
            Cells::Shorts(codes) => {
                to.extend(rows.map(|row| widened(u16::from_le_bytes(codes[row]).into(), u16::MAX.into())))
            }
            Cells::Words(codes) => to.extend(rows.map(|row| u32::from_le_bytes(codes[row]))),
            Cells::Texts { .. } => to.extend(rows.map(|_| NO_CODE)),
        }
    }

    /// The text of a row, given the distinct texts of the column.
    ///
    /// # Panics
    /// If `row` is not a row of the segment.
    #[inline]
    pub fn get(&self, row: usize, distinct: &'a StringChunked) -> Option<&'a str> {
        let Cells::Texts { ends, texts } = self else {
            return Some(self.code(row)).filter(|&code| code != NO_CODE).and_then(|code| distinct.get(code as usize));
        };
        let end = |row: usize| u64::from_le_bytes(ends[row]);
        let start = row.checked_sub(1).map_or(0, |before| end(before) & !NULL) as usize;
        let text = (end(row) & NULL == 0).then(|| &texts[start..end(row) as usize]);
        text.and_then(|bytes| std::str::from_utf8(bytes).ok())
    }
}

/// A code in a wider form, in which the largest number stands for null, too.
#[inline]
fn widened(code: u32, null: u32) -> u32 {
    if code == null { NO_CODE } else { code }
}

/// The last segment of a column, which grows.
#[derive(Debug)]
pub(super) enum Growing {
    Codes(Codes),
    Texts(Texts),
}

/// Codes, in `width` bytes each.
#[derive(Debug)]
pub(super) struct Codes {
    width: usize,
    codes: Vec<u8>,
}

impl Codes {
    /// Appends codes, all in more bytes if one of them needs them.
    pub fn push(&mut self, new: &[u32]) {
        let largest = new.iter().copied().filter(|&code| code != NO_CODE).max().unwrap_or(0);
        // The largest number of each width stands for null.
        let needed = match largest {
            0..0xFF => 1,
            0xFF..0xFFFF => 2,
            _ => 4,
        };
        if needed > self.width {
            let before: Vec<u32> = {
                let cells = of_codes(self.width, &self.codes);
                (0..self.len()).map(|row| cells.code(row)).collect()
            };
            *self = Codes { width: needed, codes: vec![] };
            self.write(&before);
        }
        self.write(new);
    }

    fn write(&mut self, new: &[u32]) {
        self.codes.reserve(new.len() * self.width);
        match self.width {
            1 => self.codes.extend(new.iter().map(|&code| code as u8)),
            2 => new.iter().for_each(|&code| self.codes.extend_from_slice(&(code as u16).to_le_bytes())),
            _ => new.iter().for_each(|&code| self.codes.extend_from_slice(&code.to_le_bytes())),
        }
    }

    fn len(&self) -> usize {
        self.codes.len() / self.width
    }
}

/// Texts one after the other, and where each ends.
#[derive(Debug, Default)]
pub(super) struct Texts {
    ends: Vec<u8>,
    texts: Vec<u8>,
}

impl Texts {
    pub fn push(&mut self, text: Option<&str>) {
        self.texts.extend_from_slice(text.unwrap_or_default().as_bytes());
        let null = if text.is_none() { NULL } else { 0 };
        self.ends.extend((self.texts.len() as u64 | null).to_le_bytes());
    }
}

impl Growing {
    /// A segment of codes.
    pub fn of_codes() -> Growing {
        Growing::Codes(Codes { width: 1, codes: vec![] })
    }

    /// A segment of texts.
    pub fn of_texts() -> Growing {
        Growing::Texts(Texts::default())
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            Growing::Codes(codes) => codes.len(),
            Growing::Texts(texts) => texts.ends.len() / size_of::<u64>(),
        }
    }

    /// The segment, which grows no more.
    pub fn finish(self) -> Segment {
        let bytes = |mut bytes: Vec<u8>| {
            bytes.shrink_to_fit();
            Bytes::Memory(bytes)
        };
        match self {
            Growing::Codes(Codes { width, codes }) => Segment::Codes { width, codes: bytes(codes) },
            Growing::Texts(Texts { ends, texts }) => Segment::Texts { ends: bytes(ends), texts: bytes(texts) },
        }
    }
}

/// Codes of this width, to be read.
fn of_codes(width: usize, codes: &[u8]) -> Cells<'_> {
    match width {
        1 => Cells::Bytes(codes),
        2 => Cells::Shorts(codes.as_chunks().0),
        _ => Cells::Words(codes.as_chunks().0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_take_more_bytes_once_one_of_them_needs_more() {
        for (largest, width) in [(0xFE, 1), (0xFF, 2), (0xFFFE, 2), (0xFFFF, 4), (0x12_3456, 4)] {
            let mut codes = Codes { width: 1, codes: vec![] };
            codes.push(&[3, NO_CODE]);
            codes.push(&[largest]);
            let cells = of_codes(codes.width, &codes.codes);
            assert_eq!((codes.width, [0, 1, 2].map(|row| cells.code(row))), (width, [3, NO_CODE, largest]));
        }
    }
}
