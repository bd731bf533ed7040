//! Writes records to a file while they are encoded, so that memory contains only a few of them.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Records;
use super::file::{ALIGNMENT, Sections, write_numbers};
use super::layout::RecordLayout;
use super::records::{Starts, StartsBuilder};
use crate::atomic_file::AtomicFile;
use crate::error::{Error, Result};
use crate::mapped_file::MappedFile;
use crate::schema::Schema;

/// A file of records under construction. It appears at its path when it is complete. After a power cut, its end may be missing,
/// which [`Records::open`] notices: rows can be encoded again.
///
/// ```
/// use fm_core::rows::RecordsWriter;
/// use fm_core::{Field, Label, Records, Rows, Schema, Side, Task};
///
/// let fields = vec![Field::categorical("user", Side::User, 9), Field::categorical("film", Side::Item, 9)];
/// let schema = Schema::new(Label::fit("rating", Task::Regression, [1.0, 5.0]), fields)?;
/// let path = std::env::temp_dir().join(format!("appended-{}.rows", std::process::id()));
/// let mut writer = RecordsWriter::create(&path, &schema, false)?;
/// for (row, rating) in [([3, 7], 4.0), ([8, 0], 2.0)] {
///     writer.append(&Records::from_indices(&schema, &[row], &[rating])?)?;
/// }
/// assert_eq!(writer.finish(&schema, None)?.labels(), [4.0, 2.0]);
/// assert_eq!(Records::open(&path, &schema)?.labels(), [4.0, 2.0]);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RecordsWriter {
    /// The file, or the folder of a file without a name, for errors.
    path: PathBuf,
    layout: Arc<RecordLayout>,
    has_weights: bool,
    target: Target,
    words: u64,
    starts: StartsBuilder,
}

#[derive(Debug)]
enum Target {
    Named(AtomicFile),
    Nameless(File),
}

impl Target {
    fn file(&self) -> &File {
        match self {
            Target::Named(file) => file.file(),
            Target::Nameless(file) => file,
        }
    }
}

impl RecordsWriter {
    /// Starts a file of rows that are encoded with a schema, and each have a weight or not.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(path: impl AsRef<Path>, schema: &Schema, has_weights: bool) -> Result<RecordsWriter> {
        let target = Target::Named(AtomicFile::create(&path)?);
        RecordsWriter::of(target, path.as_ref(), schema, has_weights)
    }

    /// As [`RecordsWriter::create`], with a temporary file in `folder`, which disappears when the rows are dropped.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn nameless(folder: impl AsRef<Path>, schema: &Schema, has_weights: bool) -> Result<RecordsWriter> {
        let folder = folder.as_ref();
        let file = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
        let target = Target::Nameless(file.map_err(Error::io("write", folder))?);
        RecordsWriter::of(target, folder, schema, has_weights)
    }

    fn of(target: Target, path: &Path, schema: &Schema, has_weights: bool) -> Result<RecordsWriter> {
        // The header follows when the numbers in it are known.
        target.file().write_all(&[0; ALIGNMENT]).map_err(Error::io("write", path))?;
        let (path, layout) = (path.to_owned(), Arc::new(RecordLayout::new(schema)));
        Ok(RecordsWriter { path, layout, has_weights, target, words: 0, starts: StartsBuilder::default() })
    }

    /// The number of rows so far.
    pub fn len(&self) -> usize {
        self.starts.rows.len()
    }

    /// Whether there are no rows yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends all rows of a set. Their groups are left out.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Shape`] if the set was encoded with another schema, or only one of the two has weights.
    pub fn append(&mut self, rows: &Records) -> Result<()> {
        rows.check_kind(&self.layout, self.has_weights)?;
        let mut file = BufWriter::with_capacity(1 << 20, self.target.file());
        let written = write_numbers(&mut file, rows.words(), u32::to_le_bytes).and_then(|()| file.flush());
        written.map_err(Error::io("write", &self.path))?;
        self.starts.append(rows, self.words);
        self.words += rows.words().len() as u64;
        Ok(())
    }

    /// Completes the file and opens it. `schema` has the fields of the one that the rows are encoded with; it is the one that
    /// opens the file. `groups` are those of [`Records::with_groups`].
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Shape`] for another schema, or if the number of groups is not that of the rows.
    pub fn finish(self, schema: &Schema, groups: Option<&[i64]>) -> Result<Records> {
        let n = self.len();
        if *self.layout != RecordLayout::new(schema) {
            return Err(Error::shape("rows", "the schema that they were encoded with", "another schema"));
        }
        if let Some(groups) = groups.filter(|groups| groups.len() != n) {
            return Err(Error::shape("groups", format!("a group for each of {n} rows"), groups.len().to_string()));
        }
        let sections = usize::try_from(self.words).ok();
        let sections = sections.and_then(|words| Sections::new(n, words, self.has_weights, groups.is_some()));
        let sections = sections.ok_or_else(|| Error::shape("rows", "rows that fit into a file", n.to_string()))?;
        let starts = self.starts.finish(self.words);
        let write = || {
            let mut file = BufWriter::new(self.target.file());
            sections.write_end(&mut file, Starts { rows: &starts.rows, blocks: &starts.blocks }, groups)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&sections.header(schema))?;
            file.flush()
        };
        write().map_err(Error::io("write", &self.path))?;
        // Read or mapped before it has a name under which another process could replace it: its records are those that
        // were appended, and need no further check.
        let mapped = MappedFile::of_whole(self.target.file(), &self.path)?;
        if let Target::Named(file) = self.target {
            file.commit_without_sync()?;
        }
        Ok(Records::mapped(self.layout, mapped, sections))
    }
}
