//! Checks archives before libtorch sees them: libtorch compares no checksums, and trusts the sizes that an archive
//! states.
//!
//! An archive is a zip file of records below one folder; tensors are not compressed, and code is. Beside libtorch's
//! records, it has the extra file `records.json`: the size and the CRC-32 of every other record. Names and layout are
//! those of PyTorch's `caffe2/serialize/inline_container.cc`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crc32fast::Hasher;
use flate2::read::DeflateDecoder;
use serde::{Deserialize, Serialize};

use super::pickle::{self, Storages};
use crate::error::{Error, Result};

/// The extra file that lists the records.
pub(super) const RECORDS_FILE: &str = "records.json";

/// The folder of extra files.
const EXTRA: &str = "extra/";

/// Records that are not listed: libtorch derives this one from the others, the list among them.
const UNLISTED: [&str; 2] = [".data/serialization_id", "extra/records.json"];

/// Number of bytes read at once.
const BUFFER: usize = 1 << 18;

/// Maximum size of a record that is read as a whole, and of the list of records.
const MAX_WHOLE: u64 = 1 << 31;

/// `records.json`: size and CRC-32 by name.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Records(BTreeMap<String, (u64, u32)>);

/// An open archive.
#[derive(Debug)]
pub(super) struct Archive {
    path: PathBuf,
    file: File,
    /// By name, without the folder that all are in.
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Where its bytes start.
    start: u64,
    /// Number of bytes in the file.
    packed: u64,
    /// Number of bytes of the record.
    size: u64,
    crc: u32,
    is_deflated: bool,
}

impl Archive {
    /// Opens an archive and reads its directory.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] for a file that is no archive.
    pub fn open(path: &Path) -> Result<Archive> {
        let mut file = File::open(path).map_err(Error::io("read", path))?;
        let entries = read_entries(&mut file).map_err(|fault| fault.of(path))?;
        Ok(Archive { path: path.to_owned(), file, entries })
    }

    /// The text of an extra file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] if there is no such file, or it is damaged or not UTF-8.
    pub fn extra_file(&mut self, name: &str) -> Result<String> {
        self.text(name).map_err(|fault| fault.of(&self.path))
    }

    /// Whether there is an extra file.
    pub fn has_extra_file(&self, name: &str) -> bool {
        self.entries.contains_key(&format!("{EXTRA}{name}"))
    }

    /// Number of records, and of their bytes.
    pub fn size(&self) -> (usize, u64) {
        (self.entries.len(), self.entries.values().map(|entry| entry.size).sum())
    }

    /// Checks every record: its CRC-32, that it is the one that was written, that it has the bytes of its tensors, and
    /// that the parameters are finite.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] for anything else.
    pub fn check(&mut self) -> Result<()> {
        self.find_fault().map_err(|fault| fault.of(&self.path))
    }

    fn find_fault(&mut self) -> Result<(), Fault> {
        let listed: Records = serde_json::from_str(&self.text(RECORDS_FILE)?)
            .map_err(|error| Fault::Format(format!("its {RECORDS_FILE}: {error}")))?;
        if let Some(name) = listed.first_difference(&self.records()) {
            return fault(match name.as_str() {
                "extra/schema.json" => "its schema.json does not belong to its model".to_owned(),
                _ => format!("its record {name} is not the one that was written"),
            });
        }
        let mut kinds = BTreeMap::new();
        for pickle in ["data", "constants"] {
            let bytes = self.whole(&format!("{pickle}.pkl"))?;
            let storages = pickle::storages(&bytes).map_err(|why| Fault::Format(format!("its {pickle}.pkl {why}")))?;
            self.check_sizes(pickle, storages, &mut kinds)?;
        }
        let names: Vec<String> = self.entries.keys().cloned().collect();
        let mut buffer = vec![0; BUFFER];
        for name in names {
            let kind = kinds.get(&name).copied().filter(|_| name.starts_with("data/"));
            let mut is_finite = true;
            self.pass(&name, &mut buffer, |bytes| {
                is_finite &= kind.is_none_or(|kind: pickle::Kind| kind.is_finite(bytes))
            })?;
            if !is_finite {
                return fault(format!("its record {name} holds numbers that are infinite or NaN"));
            }
        }
        Ok(())
    }

    /// Compares the sizes of tensors with their records.
    fn check_sizes(
        &self,
        pickle: &str,
        storages: Storages,
        kinds: &mut BTreeMap<String, pickle::Kind>,
    ) -> Result<(), Fault> {
        for (key, storage) in storages {
            let name = format!("{pickle}/{key}");
            let expected = storage.bytes();
            match self.entries.get(&name) {
                Some(Entry { size, .. }) if expected == Some(*size) => {}
                // What has no elements has no bytes to read.
                None if expected == Some(0) => {}
                Some(Entry { size, .. }) => {
                    let expected = expected.map_or("more".into(), |bytes| bytes.to_string());
                    return fault(format!("its record {name} has {size} bytes instead of {expected}"));
                }
                None => return fault(format!("its record {name} is missing")),
            }
            kinds.insert(name, storage.kind);
        }
        Ok(())
    }

    /// What `records.json` should hold.
    fn records(&self) -> Records {
        let listed = self.entries.iter().filter(|(name, _)| !UNLISTED.contains(&name.as_str()));
        Records(listed.map(|(name, entry)| (name.clone(), (entry.size, entry.crc))).collect())
    }

    fn text(&mut self, name: &str) -> Result<String, Fault> {
        let record = format!("{EXTRA}{name}");
        if !self.entries.contains_key(&record) {
            return fault(format!("the archive has no file {name}"));
        }
        String::from_utf8(self.whole(&record)?).map_err(|_| Fault::Format(format!("its {name} is not UTF-8")))
    }

    /// A whole record, whose CRC-32 is checked.
    fn whole(&mut self, name: &str) -> Result<Vec<u8>, Fault> {
        let size = self.entries.get(name).map_or(0, |entry| entry.size);
        if size > MAX_WHOLE {
            return fault(format!("its record {name} has {size} bytes"));
        }
        let mut whole = Vec::new();
        self.pass(name, &mut vec![0; BUFFER], |bytes| whole.extend_from_slice(bytes))?;
        Ok(whole)
    }

    /// Hands out the bytes of a record in pieces of a multiple of 8 bytes, and checks its CRC-32.
    fn pass(&mut self, name: &str, buffer: &mut [u8], mut take: impl FnMut(&[u8])) -> Result<(), Fault> {
        let Some(&Entry { start, packed, size, crc, is_deflated }) = self.entries.get(name) else {
            return fault(format!("the archive has no record {name}"));
        };
        let damaged = || Fault::Format(format!("its record {name} is damaged"));
        self.file.seek(SeekFrom::Start(start))?;
        let bytes = self.file.by_ref().take(packed);
        let mut reader: Box<dyn Read> =
            if is_deflated { Box::new(DeflateDecoder::new(bytes)) } else { Box::new(bytes) };
        let (mut left, mut hasher) = (size, Hasher::new());
        while left > 0 {
            let piece = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let bytes = &mut buffer[..piece];
            reader.read_exact(bytes).map_err(|error| if is_deflated { damaged() } else { error.into() })?;
            hasher.update(bytes);
            take(bytes);
            left -= piece as u64;
        }
        // Compressed bytes may hold more than the record.
        let is_at_end = !is_deflated || reader.read(&mut [0]).is_ok_and(|read| read == 0);
        if is_at_end && hasher.finalize() == crc { Ok(()) } else { Err(damaged()) }
    }
}

impl Records {
    /// Of an archive that ends with these bytes.
    pub fn of_end(end: &[u8], length: u64) -> Option<Records> {
        let directory = Directory::find(end, length).ok()?;
        let start = usize::try_from(directory.start.checked_sub(length - end.len() as u64)?).ok()?;
        let listed = directory.read(end.get(start..)?).ok()?.into_iter();
        let listed = listed.map(|record| (record.name, (record.size, record.crc)));
        Some(Records(listed.filter(|(name, _)| !UNLISTED.contains(&name.as_str())).collect()))
    }

    fn first_difference<'a>(&'a self, other: &'a Records) -> Option<&'a String> {
        let is_other = |name: &&String| self.0.get(*name) != other.0.get(*name);
        self.0.keys().chain(other.0.keys()).find(is_other)
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names and numbers are JSON")
    }
}

/// What is wrong with an archive.
enum Fault {
    Io(std::io::Error),
    Format(String),
}

impl Fault {
    fn of(self, path: &Path) -> Error {
        match self {
            // The directory states more bytes than there are.
            Fault::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => unusable(path, "it is cut short"),
            Fault::Io(error) => Error::io("read", path)(error),
            Fault::Format(reason) => unusable(path, reason),
        }
    }
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Fault {
        Fault::Io(error)
    }
}

fn fault<T>(reason: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Format(reason.into()))
}

pub(super) fn unusable(path: &Path, reason: impl Into<String>) -> Error {
    Error::format("exported model", path, reason)
}

/// Where the directory of a zip file is.
struct Directory {
    start: u64,
    size: u64,
    entries: u64,
}

/// An entry of the directory.
struct Listed {
    name: String,
    header: u64,
    packed: u64,
    size: u64,
    crc: u32,
    is_deflated: bool,
}

/// The lengths of the records that end a zip file.
const END: usize = 22;
const LOCATOR: usize = 20;
const END_64: usize = 56;
const LOCAL: usize = 30;
const CENTRAL: usize = 46;

/// A little-endian number at a place.
fn number<const SIZE: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let mut number = [0; 8];
    number[..SIZE].copy_from_slice(bytes.get(at..at.checked_add(SIZE)?)?);
    Some(u64::from_le_bytes(number))
}

impl Directory {
    /// Finds the directory of a file that ends with `end`, without a comment after it.
    fn find(end: &[u8], length: u64) -> Result<Directory, Fault> {
        let Some((before, last)) = end.split_last_chunk::<END>() else { return fault("it is cut short") };
        if !last.starts_with(b"PK\x05\x06") || last[20..] != [0, 0] {
            return fault("it is not a whole archive: its end is missing");
        }
        let short = (number::<2>(last, 10), number::<4>(last, 12), number::<4>(last, 16));
        let (Some(entries), Some(size), Some(start)) = short else { return fault("it is cut short") };
        let mut found = Directory { start, size, entries };
        let mut stop = length - END as u64;
        if let Some((before, locator)) = before.split_last_chunk::<LOCATOR>()
            && locator.starts_with(b"PK\x06\x07")
        {
            let Some((_, long)) = before.split_last_chunk::<END_64>() else { return fault("it is cut short") };
            let place = length - (END + LOCATOR + END_64) as u64;
            if !long.starts_with(b"PK\x06\x06") || number::<8>(locator, 8) != Some(place) {
                return fault("its directory is damaged");
            }
            let numbers = (number::<8>(long, 32), number::<8>(long, 40), number::<8>(long, 48));
            let (Some(entries), Some(size), Some(start)) = numbers else { return fault("it is cut short") };
            let fits = |short: u64, long: u64, most: u64| short == long.min(most);
            if !fits(found.entries, entries, 0xffff)
                || !fits(found.size, size, 0xffff_ffff)
                || !fits(found.start, start, 0xffff_ffff)
            {
                return fault("its directory is damaged");
            }
            (found, stop) = (Directory { start, size, entries }, place);
        }
        match found.start.checked_add(found.size) {
            Some(end) if end == stop && found.size <= MAX_WHOLE => Ok(found),
            _ => fault("its directory is damaged"),
        }
    }

    /// The entries, without the folder that all are in. `bytes` starts with the directory.
    fn read(&self, bytes: &[u8]) -> Result<Vec<Listed>, Fault> {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let Some(mut bytes) = bytes.get(..size) else { return fault("its directory is cut short") };
        let mut listed = vec![];
        while !bytes.is_empty() {
            let Some((entry, rest)) = read_central(bytes) else { return fault("its directory is damaged") };
            listed.push(entry);
            bytes = rest;
        }
        if listed.len() as u64 != self.entries {
            return fault("its directory is damaged");
        }
        let folder =
            listed.first().and_then(|first| first.name.split_once('/')).map(|(folder, _)| format!("{folder}/"));
        let Some(folder) = folder else { return fault("it is an empty archive") };
        for entry in &mut listed {
            let Some(name) = entry.name.strip_prefix(&folder) else {
                return fault("its records are in several folders");
            };
            entry.name = name.to_owned();
        }
        Ok(listed)
    }
}

/// The methods of compression that libtorch uses.
const STORED: u64 = 0;
const DEFLATED: u64 = 8;

/// Reads an entry of the directory. `None` for one that is damaged, encrypted, or compressed in another way.
fn read_central(bytes: &[u8]) -> Option<(Listed, &[u8])> {
    let header = bytes.get(..CENTRAL)?;
    let field = |at| number::<2>(header, at);
    let (flags, method) = (field(8)?, field(10)?);
    if !header.starts_with(b"PK\x01\x02") || flags & 1 != 0 || ![STORED, DEFLATED].contains(&method) {
        return None;
    }
    let crc = number::<4>(header, 16)? as u32;
    let (mut packed, mut size, mut place) =
        (number::<4>(header, 20)?, number::<4>(header, 24)?, number::<4>(header, 42)?);
    let (name, extra, comment) = (field(28)? as usize, field(30)? as usize, field(32)? as usize);
    let rest = bytes.get(CENTRAL..)?;
    let text = std::str::from_utf8(rest.get(..name)?).ok()?.to_owned();
    let mut fields = rest.get(name..name + extra)?;
    while let (Some(id), Some(length)) = (number::<2>(fields, 0), number::<2>(fields, 2)) {
        let field = fields.get(4..4 + length as usize)?;
        if id == 1 {
            let mut at = 0;
            for value in [&mut size, &mut packed, &mut place] {
                if *value == 0xffff_ffff {
                    *value = number::<8>(field, at)?;
                    at += 8;
                }
            }
        }
        fields = fields.get(4 + length as usize..)?;
    }
    let is_deflated = method == DEFLATED;
    let entry = Listed { name: text, header: place, packed, size, crc, is_deflated };
    (is_deflated || packed == size).then_some((entry, rest.get(name + extra + comment..)?))
}

/// The records of a zip file: they follow each other without overlap, and headers and directory agree on their names.
fn read_entries(file: &mut File) -> Result<BTreeMap<String, Entry>, Fault> {
    let mut begin = [0; 4];
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    if file.read_exact(&mut begin).is_err() || begin != *b"PK\x03\x04" {
        return fault("it is not a TorchScript archive");
    }
    let mut end = vec![0; length.min((END + LOCATOR + END_64) as u64) as usize];
    file.seek(SeekFrom::End(-(end.len() as i64)))?;
    file.read_exact(&mut end)?;
    let directory = Directory::find(&end, length)?;
    file.seek(SeekFrom::Start(directory.start))?;
    let mut bytes = vec![];
    file.by_ref().take(directory.size).read_to_end(&mut bytes)?;
    let mut listed = directory.read(&bytes)?;
    listed.sort_by_key(|entry| entry.header);
    let (mut entries, mut free) = (BTreeMap::new(), 0);
    for entry in listed {
        let damaged = || Fault::Format(format!("its record {} is damaged", entry.name));
        if entry.header < free || entry.header >= directory.start {
            return Err(damaged());
        }
        let mut header = [0; LOCAL];
        file.seek(SeekFrom::Start(entry.header))?;
        file.read_exact(&mut header)?;
        let lengths = (number::<2>(&header, 26), number::<2>(&header, 28));
        let (Some(name), Some(extra)) = lengths else { return Err(damaged()) };
        let mut found = vec![0; name as usize];
        file.read_exact(&mut found)?;
        let is_named = found.strip_suffix(entry.name.as_bytes()).is_some_and(|folder| folder.ends_with(b"/"));
        let method = if entry.is_deflated { DEFLATED } else { STORED };
        let agrees = header.starts_with(b"PK\x03\x04") && number::<2>(&header, 8) == Some(method);
        let start = entry.header + (LOCAL as u64 + name + extra);
        let stop = start.checked_add(entry.packed).filter(|stop| *stop <= directory.start).ok_or_else(damaged)?;
        if !is_named || !agrees {
            return Err(damaged());
        }
        free = stop;
        let Listed { packed, size, crc, is_deflated, .. } = entry;
        let record = Entry { start, packed, size, crc, is_deflated };
        if entries.insert(entry.name.clone(), record).is_some() {
            return fault(format!("its record {} is there twice", entry.name));
        }
    }
    Ok(entries)
}
