//! Checks of an Arrow IPC file before the library reads it. The library trusts the lengths that a file states: it would
//! allocate that much memory, which ends the process, or recurse into columns that are nested too deeply.

use arrow::io::ipc::format::ipc::planus::ReadAsRoot;
use arrow::io::ipc::format::ipc::{Block, FieldRef, FooterRef, MessageHeaderRef, MessageRef, RecordBatchRef, TypeRef};

/// Maximum number of levels of columns. Real files have a few.
const DEEPEST: usize = 100;

/// The signature at both ends of a file.
const SIGNATURE: &[u8] = b"ARROW1";

/// The highest number of bytes that a compressed byte stands for, in LZ4 and Zstandard.
const MOST_PACKED: u64 = 1 << 16;

/// A batch of rows, as the file states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub rows: usize,
    /// Unpacked.
    pub bytes: usize,
}

/// The batches of a file.
///
/// The error is what is wrong with it.
pub(super) fn check(file: &[u8]) -> Result<Vec<Batch>, String> {
    if file.starts_with(b"FEA1") {
        return Err("it is of version 1 of Feather: write it again as version 2".into());
    }
    if file.starts_with(&[0xFF; 4]) {
        return Err("it is a stream of Arrow IPC: write it in the form of a file".into());
    }
    if !file.starts_with(SIGNATURE) {
        return Err("it does not begin as Arrow IPC files do".into());
    }
    let footer = file.strip_suffix(SIGNATURE).and_then(footer).ok_or("it does not end as Arrow IPC files do")?;
    read_footer(file, footer).unwrap_or_else(|| Err("its metadata is damaged".into()))
}

/// The footer in the bytes before the last signature.
fn footer(file: &[u8]) -> Option<&[u8]> {
    let (before, length) = file.split_last_chunk::<4>()?;
    let length = usize::try_from(i32::from_le_bytes(*length)).ok()?;
    before.get(before.len().checked_sub(length)?..)
}

/// `None` if the metadata is damaged.
fn read_footer(file: &[u8], footer: &[u8]) -> Option<Result<Vec<Batch>, String>> {
    let most_fields = footer.len();
    let footer = FooterRef::read_as_root(footer).ok()?;
    let fields = footer.schema().ok()??.fields().ok()??;
    let mut names = std::collections::HashSet::new();
    let mut count = 0;
    for field in fields.iter() {
        let field = field.ok()?;
        if let Err(reason) = check_field(field, 1, &mut count, most_fields)? {
            return Some(Err(reason));
        }
        let name = field.name().ok()??;
        if !names.insert(name) {
            return Some(Err(format!("two of its columns have the name `{name}`: rename one of them")));
        }
    }
    for block in footer.dictionaries().ok()?.into_iter().flatten() {
        check_block(file, block.into())?;
    }
    let batches = footer.record_batches().ok()??.iter().map(|block| check_block(file, block.into()));
    Some(Ok(batches.collect::<Option<Vec<Batch>>>()?))
}

/// Checks a column and those in it: the library panics at some types. `count` is the number of columns so far, which
/// may be in several places of a damaged file.
fn check_field(field: FieldRef<'_>, level: usize, count: &mut usize, most: usize) -> Option<Result<(), String>> {
    *count += 1;
    if level > DEEPEST {
        return Some(Err(format!("its columns are nested more than {DEEPEST} levels deep")));
    }
    if *count > most {
        return None;
    }
    if let Some(TypeRef::RunEndEncoded(_) | TypeRef::ListView(_) | TypeRef::LargeListView(_)) = field.type_().ok()? {
        let name = field.name().ok()?.unwrap_or_default();
        return Some(Err(format!("column `{name}` is run-end encoded or holds list views: store it in another form")));
    }
    for child in field.children().ok()?.into_iter().flatten() {
        if let Err(reason) = check_field(child.ok()?, level + 1, count, most)? {
            return Some(Err(reason));
        }
    }
    Some(Ok(()))
}

/// The size of a batch of rows or of a dictionary; `None` if it is damaged.
fn check_block(file: &[u8], block: Block) -> Option<Batch> {
    let start = usize::try_from(block.offset).ok()?;
    let body = start.checked_add(usize::try_from(block.meta_data_length).ok()?)?;
    let message = file.get(start..body)?;
    // Older files lack the mark before the length.
    let message = message.strip_prefix(&[0xFF; 4]).unwrap_or(message);
    let (length, message) = message.split_first_chunk::<4>()?;
    let message = message.get(..usize::try_from(i32::from_le_bytes(*length)).ok()?)?;
    match MessageRef::read_as_root(message).ok()?.header().ok()?? {
        MessageHeaderRef::RecordBatch(batch) => check_batch(file, body, batch),
        MessageHeaderRef::DictionaryBatch(dictionary) => check_batch(file, body, dictionary.data().ok()??),
        _ => None,
    }
}

/// Checks that all buffers of a batch are in the file, and that all arrays fit their memory.
fn check_batch(file: &[u8], body: usize, batch: RecordBatchRef<'_>) -> Option<Batch> {
    let is_packed = batch.compression().ok()?.is_some();
    let (mut stored, mut bytes) = (0_u64, 0_u64);
    for buffer in batch.buffers().ok()??.iter() {
        let start = body.checked_add(usize::try_from(buffer.offset()).ok()?)?;
        let length = usize::try_from(buffer.length()).ok()?;
        let buffer = file.get(start..start.checked_add(length)?)?;
        stored += length as u64;
        bytes = bytes.checked_add(match is_packed && length > 0 {
            true => unpacked(buffer)?,
            false => length as u64,
        })?;
    }
    // The buffers of a batch have no bytes in common.
    if stored > file.len() as u64 {
        return None;
    }
    // Only columns of nulls have rows without bytes.
    let most = (file.len() as u64).checked_mul(MOST_PACKED)?;
    let in_range = |length: i64| u64::try_from(length).is_ok_and(|length| length <= most);
    let rows = batch.length().ok()?;
    let are_in_range = batch.nodes().ok()??.iter().all(|node| in_range(node.length()) && node.null_count() >= 0);
    if !in_range(rows) || !are_in_range {
        return None;
    }
    let bytes = usize::try_from(bytes).ok()?;
    Vec::<u8>::new().try_reserve_exact(bytes).ok()?;
    Some(Batch { rows: usize::try_from(rows).ok()?, bytes })
}

/// The length of a compressed buffer after unpacking. -1 stands for one that is not compressed.
fn unpacked(buffer: &[u8]) -> Option<u64> {
    let (length, packed) = buffer.split_first_chunk::<8>()?;
    let length = match i64::from_le_bytes(*length) {
        -1 => packed.len() as u64,
        length => u64::try_from(length).ok()?,
    };
    (length <= (packed.len() as u64).checked_mul(MOST_PACKED)?).then_some(length)
}
