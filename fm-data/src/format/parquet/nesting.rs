//! Limits how deeply columns are nested. The library that reads them recurses once per level. Too many levels overflow
//! the stack, which cannot be caught, so the levels are counted before the library sees the file.

use super::metadata_types;

/// Maximum number of levels. Real files have a few.
const DEEPEST: usize = 100;

/// The size of what follows the metadata: its length and a signature.
const END: usize = 8;

/// The types of values in Thrift's compact protocol. A truth value in a struct is its type.
pub(super) mod kind {
    pub const STOP: u8 = 0;
    pub const TRUE: u8 = 1;
    pub const FALSE: u8 = 2;
    pub const BYTE: u8 = 3;
    pub const I16: u8 = 4;
    pub const I64: u8 = 6;
    pub const DOUBLE: u8 = 7;
    pub const BINARY: u8 = 8;
    pub const LIST: u8 = 9;
    pub const STRUCT: u8 = 12;
}

/// Fails, with the reason, if the metadata of a file is damaged, or its columns are nested too deeply. What else may be
/// wrong with the file, the library says.
pub(super) fn check(file: &[u8]) -> Result<(), String> {
    let Some((before, end)) = file.split_last_chunk::<END>() else { return Ok(()) };
    let length = u32::from_le_bytes([end[0], end[1], end[2], end[3]]) as usize;
    let Some(start) = before.len().checked_sub(length) else { return Ok(()) };
    let metadata = &before[start..];
    match metadata_types::check(Thrift(metadata)).and_then(|()| depth(Thrift(metadata))) {
        None => Err("its metadata is damaged".into()),
        Some(depth) if depth > DEEPEST => Err(format!("its columns are nested more than {DEEPEST} levels deep")),
        Some(_) => Ok(()),
    }
}

/// The number of levels of the columns in the metadata of a file; `None` if it is damaged.
fn depth(mut metadata: Thrift<'_>) -> Option<usize> {
    let mut deepest = 0;
    metadata.fields(|metadata, id, kind| {
        if (id, kind) != (2, kind::LIST) {
            return metadata.skip(kind, DEEPEST);
        }
        // The columns in depth-first order, each with the number of its children. Of each group whose children follow, the
        // number of those that are left:
        let mut open: Vec<i64> = vec![];
        metadata.items(|metadata, kind| {
            while open.pop_if(|left| *left <= 0).is_some() {}
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            open.push(if kind == kind::STRUCT { metadata.children()? } else { return None });
            deepest = deepest.max(open.len());
            Some(())
        })
    })?;
    Some(deepest)
}

/// Bytes in Thrift's compact protocol. All functions return `None` at the end of the bytes, and for what the protocol
/// does not have.
pub(super) struct Thrift<'a>(pub &'a [u8]);

impl Thrift<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn bytes(&mut self, len: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(len).ok()?..)?;
        Some(())
    }

    /// A number of seven bits a byte, the lowest first.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A number whose lowest bit is its sign.
    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    /// Reads a struct: calls `read` at the value of each field, with its id and its type.
    pub fn fields(&mut self, mut read: impl FnMut(&mut Self, i64, u8) -> Option<()>) -> Option<()> {
        let mut id = 0;
        loop {
            let header = self.byte()?;
            let (step, kind) = (header >> 4, header & 0xf);
            if kind == kind::STOP {
                return Some(());
            }
            id = if step == 0 { self.signed()? } else { id.checked_add(i64::from(step))? };
            read(self, id, kind)?;
        }
    }

    /// Reads a list: calls `read` at each value, with its type.
    pub fn items(&mut self, mut read: impl FnMut(&mut Self, u8) -> Option<()>) -> Option<()> {
        let header = self.byte()?;
        let count = if header >> 4 == 15 { self.number()? } else { u64::from(header >> 4) };
        // Every value has a byte at least.
        (0..count).try_for_each(|_| read(self, header & 0xf))
    }

    /// Reads a value of any type.
    pub fn skip_value(&mut self, kind: u8) -> Option<()> {
        self.skip(kind, DEEPEST)
    }

    fn skip(&mut self, kind: u8, levels: usize) -> Option<()> {
        let levels = levels.checked_sub(1)?;
        match kind {
            kind::TRUE | kind::FALSE => Some(()),
            kind::BYTE => self.bytes(1),
            kind::I16..=kind::I64 => self.number().map(drop),
            kind::DOUBLE => self.bytes(8),
            kind::BINARY => self.number().and_then(|len| self.bytes(len)),
            kind::LIST => self.items(|thrift, kind| match kind {
                kind::TRUE | kind::FALSE => thrift.bytes(1),
                kind => thrift.skip(kind, levels),
            }),
            kind::STRUCT => self.fields(|thrift, _, kind| thrift.skip(kind, levels)),
            _ => None,
        }
    }

    /// Reads a column, and returns the number of its children.
    fn children(&mut self) -> Option<i64> {
        let mut children = 0;
        self.fields(|thrift, id, kind| match (id, kind) {
            (5, kind::I16..=kind::I64) => thrift.signed().map(|number| children = number),
            _ => thrift.skip(kind, DEEPEST),
        })?;
        Some(children)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of one column below `levels` groups, the outermost of which is the table.
    fn nested(levels: usize) -> Vec<u8> {
        let mut metadata = vec![0x15, 2, 0x19, 0xFC];
        let mut count = levels + 1;
        while count > 0x7f {
            metadata.push(count as u8 | 0x80);
            count >>= 7;
        }
        metadata.push(count as u8);
        for _ in 0..levels {
            // Optional, named `a`, with one child.
            metadata.extend([0x35, 2, 0x18, 1, b'a', 0x15, 2, 0]);
        }
        // An optional integer named `a`; no rows in no row groups.
        metadata.extend([0x15, 2, 0x25, 2, 0x18, 1, b'a', 0, 0x16, 0, 0x19, 0x0C, 0]);
        let length = metadata.len() as u32;
        [b"PAR1", metadata.as_slice(), &length.to_le_bytes(), b"PAR1"].concat()
    }

    fn read(bytes: &[u8]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        std::fs::write(&path, bytes).unwrap();
        let table = crate::table::read_table(&path).map_err(|error| error.to_string())?;
        Ok(table.get_column_names().iter().map(|name| name.to_string()).collect())
    }

    #[test]
    fn a_deeply_nested_file_is_an_error_and_not_the_end_of_the_program() {
        assert_eq!(read(&nested(1)), Ok(vec!["a".into()]));
        assert_eq!(read(&nested(DEEPEST - 1)), Ok(vec![]), "a column of structs has no text");
        for levels in [DEEPEST, 10_000, 1_000_000] {
            let error = read(&nested(levels)).unwrap_err();
            let says = "not a readable Parquet file: its columns are nested more than 100 levels deep";
            assert!(error.ends_with(says), "{error}");
        }
    }

    #[test]
    fn levels_are_those_of_the_deepest_column() {
        // A table of two groups, the first of two columns and the second of one.
        let group = |children: u8| vec![0x35, 2, 0x18, 1, b'g', 0x15, 2 * children, 0];
        let column = vec![0x15, 2, 0x25, 2, 0x18, 1, b'c', 0];
        let columns = [group(2), group(2), column.clone(), column.clone(), group(1), column].concat();
        let metadata = [vec![0x15, 2, 0x19, 0x6C], columns, vec![0x16, 0, 0x19, 0x0C, 0]].concat();
        assert_eq!(depth(Thrift(&metadata)), Some(3));
        for len in 0..metadata.len() {
            assert_eq!(depth(Thrift(&metadata[..len])), None, "{len}");
        }
        // After the greatest number of a field, one that is a step further.
        let greatest = [vec![0x05], vec![0xFE], vec![0xFF; 8], vec![0x01, 2, 0x15, 2, 0]].concat();
        assert_eq!(Thrift(&greatest).fields(|thrift, _, kind| thrift.skip_value(kind)), None);
    }
}
