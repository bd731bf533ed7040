//! `fm export --format vectors`: vectors of items and users for an index.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;

use anyhow::{Result, bail};
use fm_args::commands::Export;
use fm_core::ranking::ItemSlots;
use fm_core::terminal::grouped;
use fm_core::{Encoder, Error, Features, Half, InnerProduct, Records, Rows, Schema};
use fm_data::catalogue::Users;
use fm_data::{MissingColumns, TableWriter, encode};
use fm_models::run::BuiltModel;
use polars::prelude::*;
use tch::{Device, Kind, Tensor, no_grad};

use crate::predictor::{Predictor, moved};

/// The models whose score is an inner product, for errors. A test compares it with the registry.
const MODELS: &str = "lr, fm, bayesian_fm, ffm, fwfm, fmfm, hofm, two_tower, sasrec, and ncf with form = \
    \"gmf\", and ensembles of these";

/// The number of users whose vectors are computed and written at once.
const CHUNK: usize = 1 << 13;

pub fn run(args: &Export, trained: &Predictor<BuiltModel>) -> Result<()> {
    if args.with_catalogue || super::precision(args) != super::Precision::F32 || args.data_licence.is_some() {
        bail!(
            "vectors are float32, without a model card: leave out --with-catalogue, --dtype, --quantize and --data-licence"
        );
    }
    let output = &args.output;
    if output.exists() && !std::fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_none()) {
        bail!("{} exists: name a new folder", output.display());
    }
    let schema = &trained.schema;
    if trained.is_calibrated {
        bail!(
            "calibrated scores are not inner products: remove the calibration with `fm calibrate {} --remove`",
            args.run.display()
        );
    }
    let Some(model) = trained.model.model.inner_product() else {
        bail!(
            "the score of {} is not an inner product of a user's and an item's vector; models that can export vectors are {MODELS}",
            trained.settings.model.name
        );
    };
    if let Some(field) = schema.mixed_fields().next() {
        bail!(
            "`{}` depends on the item and on the rest of the row, so it is in neither vector: train without it",
            field.name
        );
    }
    let source = trained.source(&moved(args.moved.data.as_ref(), &args.moved.tables), &args.folders)?;
    let catalogue = source.catalogue()?;
    let items = catalogue.items();
    let all = 0..items.ids.len();
    let item_slots = ItemSlots::new(schema, &features(&encoded(&items.frame, schema)?, all.clone())?)?;
    let of_items = no_grad(|| model.of_items(&item_slots.features(), false))?;

    let folder = Folder::beside(output)?;
    let mut writer = Writer::create(folder.path(), "items", all.len())?;
    writer.write(df!("item" => &items.ids, "title" => &items.titles)?, &of_items.of_index())?;
    let length = writer.finish()?;
    let users = match &source.spec.user {
        Some(_) => write_users(&catalogue.users(None)?, schema, (model, &item_slots, &of_items), folder.path())?,
        None => 0,
    };
    folder.take_place(output)?;
    tracing::info!(
        "wrote {}: {} items and {} users, vectors of {length} numbers",
        output.display(),
        grouped(all.len() as i64),
        grouped(users as i64),
    );
    Ok(())
}

/// Writes the vectors of all users, and returns their number.
fn write_users(
    users: &Users,
    schema: &Schema,
    (model, item_slots, of_items): (&dyn InnerProduct, &ItemSlots, &Half),
    folder: &Path,
) -> Result<usize> {
    let rows = encoded(&users.frame, schema)?;
    let mut writer = Writer::create(folder, "users", rows.len())?;
    for first in (0..rows.len()).step_by(CHUNK) {
        let chunk = first..rows.len().min(first + CHUNK);
        let half = no_grad(|| model.of_rows(&item_slots.without_items(&features(&rows, chunk.clone())?)?, false))?;
        let constants = match &half.own {
            Some(own) => Vec::<f32>::try_from(own)?,
            None => vec![0.0; chunk.len()],
        };
        let (ids, seen) = (&users.ids[chunk.clone()], &users.seen[chunk]);
        let mut lists = ListPrimitiveChunkedBuilder::<UInt32Type>::new("seen".into(), seen.len(), 0, DataType::UInt32);
        seen.iter().for_each(|items| lists.append_slice(items));
        let table = df!("user" => ids, "constant" => constants, "seen" => lists.finish().into_series())?;
        writer.write(table, &half.of_query(of_items))?;
    }
    writer.finish()?;
    Ok(rows.len())
}

fn encoded(frame: &DataFrame, schema: &Schema) -> Result<Records> {
    Ok(encode(frame, &Encoder::new(schema), None, MissingColumns::Unknown)?)
}

fn features(rows: &Records, some: Range<usize>) -> fm_core::Result<Features> {
    Ok(rows.batch(&some.collect::<Vec<_>>(), Device::Cpu)?.features)
}

/// A table with a column of vectors, and an array of the same vectors in NumPy's format.
struct Writer {
    table: TableWriter,
    array: BufWriter<File>,
    rows: usize,
    /// The length of a vector, once it is known.
    length: Option<usize>,
}

impl Writer {
    fn create(folder: &Path, name: &str, rows: usize) -> Result<Writer> {
        let path = folder.join(name).with_extension("npy");
        let array = BufWriter::new(File::create(&path).map_err(Error::io("create", &path))?);
        Ok(Writer {
            table: TableWriter::create(folder.join(name).with_extension("parquet"))?,
            array,
            rows,
            length: None,
        })
    }

    /// Adds rows, and their vectors `[n, d]`.
    fn write(&mut self, mut table: DataFrame, vectors: &Tensor) -> Result<()> {
        let length = vectors.size()[1] as usize;
        if self.length.replace(length).is_none() {
            self.array.write_all(&npy_header(self.rows, length))?;
        }
        let numbers = Vec::<f32>::try_from(vectors.to_kind(Kind::Float).contiguous().view(-1))?;
        for number in &numbers {
            self.array.write_all(&number.to_le_bytes())?;
        }
        let (name, rows) = ("vector".into(), table.height());
        let mut lists = ListPrimitiveChunkedBuilder::<Float32Type>::new(name, rows, numbers.len(), DataType::Float32);
        numbers.chunks(length.max(1)).for_each(|vector| lists.append_slice(vector));
        table.with_column(lists.finish().into_column())?;
        Ok(self.table.write(&mut table)?)
    }

    /// Returns the length of a vector.
    fn finish(mut self) -> Result<usize> {
        self.array.flush()?;
        self.table.finish()?;
        Ok(self.length.unwrap_or_default())
    }
}

/// The header of an array `[rows, length]` of float32, in version 1.0 of the format.
fn npy_header(rows: usize, length: usize) -> Vec<u8> {
    const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {length}), }}");
    // The numbers begin at a multiple of 64 bytes, after a line end.
    let width = (MAGIC.len() + 2 + text.len() + 1).next_multiple_of(64) - MAGIC.len() - 2;
    [MAGIC, &(width as u16).to_le_bytes(), format!("{text:<0$}\n", width - 1).as_bytes()].concat()
}

/// A folder that takes its place once it is complete.
struct Folder(tempfile::TempDir);

impl Folder {
    fn beside(output: &Path) -> Result<Folder> {
        let parent = output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = tempfile::Builder::new().prefix(".partial-").tempdir_in(parent);
        Ok(Folder(folder.map_err(Error::io("create a folder in", parent))?))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn take_place(self, output: &Path) -> Result<()> {
        std::fs::rename(self.0.path(), output).map_err(Error::io("write", output))?;
        // There is nothing left to remove.
        let _ = self.0.keep();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use fm_core::model::Options;
    use fm_core::{Field, FieldKind, Label, List, Side, Task, Weighting};
    use tch::nn::VarStore;

    use super::*;

    #[test]
    fn the_error_names_the_models_that_can_export_vectors() {
        let seen = FieldKind::Sequence(List::new("|", 3, Weighting::Sum));
        let fields = vec![
            Field::categorical("user", Side::User, 3),
            Field::categorical("item", Side::Item, 4),
            Field::new("seen", seen, Side::User, vec![]).sharing("item"),
        ];
        let schema = Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), fields).unwrap();
        let can = |name: &str, options: Options| {
            let store = VarStore::new(Device::Cpu);
            let model = fm_models::find(name).unwrap().build(&options, &store.root(), &schema);
            model.unwrap().inner_product().is_some()
        };
        let named: Vec<&str> = MODELS.split(", and").next().unwrap().split(", ").collect();
        let found: Vec<&str> =
            fm_models::MODELS.iter().map(|entry| entry.name).filter(|name| can(name, Options::new())).collect();
        assert_eq!(found, named);
        assert!(can("ncf", Options::from_iter([("form".to_owned(), "gmf".into())])));
        let members = serde_json::json!([{ "name": "fm" }, { "name": "lr" }]);
        assert!(can("ensemble", Options::from_iter([("members".to_owned(), members)])));
    }

    #[test]
    fn numpy_reads_the_header() {
        let header = npy_header(943, 17);
        assert_eq!((header.len() % 64, header.last()), (0, Some(&b'\n')));
        let file = tempfile::NamedTempFile::with_suffix(".npy").unwrap();
        std::fs::write(file.path(), [header, vec![0; 943 * 17 * 4]].concat()).unwrap();
        assert_eq!(Tensor::read_npy(file.path()).unwrap().size(), [943, 17]);
    }
}
