//! Reading archives.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tch::{CModule, Device, IValue, Tensor, no_grad};

use super::archive::{Archive, unusable};
use super::{FORMAT, SCHEMA_FILE, unknown_rows};
use crate::encoder::Encoder;
use crate::error::{Error, Result};
use crate::features::{Features, Padded};
use crate::predict::Score;
use crate::schema::Schema;

/// Part of the error of `methods.py` for a file without a catalogue.
pub(super) const NO_CATALOGUE: &str = "has no catalogue";

/// An exported model. It scores texts or encoded rows, and needs none of the model's code.
///
/// # Threads
/// A scorer is `Send` and `Sync`: threads can share one by reference or in an [`Arc`](std::sync::Arc), and score at the
/// same time. Scoring changes neither parameters nor buffers, and libtorch guards the graphs that it optimises in the
/// first calls. Each call also uses libtorch's own threads; a server that scores in many threads sets
/// [`tch::set_num_threads`] to 1.
#[derive(Debug)]
pub struct Scorer {
    path: PathBuf,
    module: CModule,
    encoder: Encoder<Schema>,
    device: Device,
}

const _: () = {
    const fn is_shared_by_threads<T: Send + Sync>() {}
    is_shared_by_threads::<Scorer>();
};

impl Scorer {
    /// Loads an archive onto a device. It is [checked](super::verify) first, since libtorch trusts what a file states;
    /// but its code is a program that runs when rows are scored: load only files from people whom you would let run a
    /// program.
    ///
    /// # Errors
    /// [`Error::Io`] if there is no such file; [`Error::Format`] if it is not an archive of a
    /// [`Bundle`](super::Bundle), is damaged, has a newer format, or its schema does not match its model.
    pub fn load(path: impl AsRef<Path>, device: Device) -> Result<Scorer> {
        let path = path.as_ref();
        let mut archive = Archive::open(path)?;
        let text = archive.extra_file(SCHEMA_FILE)?;
        let schema = Schema::from_json(&text).map_err(|error| unusable(path, error.to_string()))?;
        archive.check()?;
        let mut module =
            CModule::load_on_device(path, device).map_err(|error| unusable(path, Error::from(error).to_string()))?;
        module.f_set_eval()?;
        match module.method_is::<IValue>("_format", &[]) {
            Ok(IValue::Int(format)) if format <= FORMAT => {}
            Ok(IValue::Int(format)) => {
                return Err(unusable(
                    path,
                    format!("its format {format} is newer than {FORMAT}, the newest that this version reads"),
                ));
            }
            _ => return Err(unusable(path, "an earlier version wrote it, or it is for a server such as Triton")),
        }
        // A schema with other vocabularies could have rows of the same shape, and would give wrong scores.
        let own = module.method_is::<IValue>("schema", &[]);
        if !matches!(&own, Ok(IValue::String(own)) if *own == text || Schema::from_json(own).is_ok_and(|own| own == schema))
        {
            return Err(unusable(path, "its schema.json does not belong to its model"));
        }
        let scorer = Scorer { path: path.to_owned(), module, encoder: Encoder::new(schema), device };
        match scorer.logits(&unknown_rows(scorer.schema(), 1).into()) {
            Ok(logits) if logits.size() == [1] => Ok(scorer),
            Ok(logits) => Err(unusable(path, format!("its logits have the shape {:?} for one row", logits.size()))),
            Err(error) => Err(unusable(path, format!("it fails on a row: {error}"))),
        }
    }

    /// The schema of rows.
    pub fn schema(&self) -> &Schema {
        self.encoder.schema()
    }

    /// The encoder that turns texts into features.
    pub fn encoder(&self) -> &Encoder<Schema> {
        &self.encoder
    }

    /// The prediction of each row: a probability, or a label within the range of the training rows. A row is the text
    /// of its columns by name. Unknown names are ignored, and omitted columns are missing.
    ///
    /// # Errors
    /// [`Error::Torch`] if libtorch fails.
    pub fn score<'t>(
        &self,
        rows: impl IntoIterator<Item = impl IntoIterator<Item = (&'t str, &'t str)>>,
    ) -> Result<Vec<f32>> {
        let mut texts = vec![];
        for row in rows {
            let columns: HashMap<&str, &str> = row.into_iter().collect();
            texts.push(self.schema().texts(|column| columns.get(column).copied()));
        }
        let rows: Vec<Vec<Option<&str>>> = texts.iter().map(|row| row.iter().map(Option::as_deref).collect()).collect();
        self.predict(&self.encoder.features(&rows)?)
    }

    /// The prediction of each encoded row, by the file's own method: that of PyTorch for the same batch, bit for bit.
    ///
    /// # Errors
    /// [`Error::Torch`] if libtorch fails.
    pub fn predict(&self, features: &Features) -> Result<Vec<f32>> {
        let Padded { ids, values } = features.padded()?.to_device(self.device);
        let predictions = no_grad(|| self.module.method_ts("predict", &[ids, values]))?;
        Ok(Vec::try_from(predictions.to_device(Device::Cpu))?)
    }

    /// The `k` items of the file's catalogue with the highest scores for a user, each with its score: a prediction
    /// that is not limited to the range of labels, as [`Label::score`](crate::Label::score) is. `exclude` lists items
    /// to omit, such as those that the user knows. The user is the text of the columns of user and context fields by
    /// name.
    ///
    /// # Errors
    /// [`Error::NoCatalogue`] if the file has no catalogue; [`Error::Torch`] if libtorch fails.
    pub fn recommend<'t>(
        &self,
        user: impl IntoIterator<Item = (&'t str, &'t str)>,
        k: usize,
        exclude: &[&str],
    ) -> Result<Vec<(String, f32)>> {
        let strings = |texts: &[&str]| IValue::StringList(texts.iter().map(|&text| text.to_owned()).collect());
        let (names, texts): (Vec<&str>, Vec<&str>) = user.into_iter().unzip();
        let k = IValue::Int(i64::try_from(k).unwrap_or(i64::MAX));
        let arguments = [strings(&names), strings(&texts), k, strings(exclude)];
        let answer = no_grad(|| self.module.method_is("_recommend", &arguments)).map_err(|error| {
            let error = Error::from(error);
            match error.to_string().contains(NO_CATALOGUE) {
                true => Error::NoCatalogue { path: self.path.clone() },
                false => error,
            }
        })?;
        let foreign = || unusable(&self.path, "its `recommend` does not return items and scores");
        let IValue::Tuple(answer) = answer else { return Err(foreign()) };
        let Ok([IValue::GenericList(items), IValue::Tensor(scores)]) = <[IValue; 2]>::try_from(answer) else {
            return Err(foreign());
        };
        let items = items.into_iter().map(|item| Ok(String::try_from(item)?)).collect::<Result<Vec<_>>>()?;
        Ok(items.into_iter().zip(Vec::<f32>::try_from(scores)?).collect())
    }

    /// The vectors `[B, d]` of the users of a batch, float32 on the CPU: queries to an index of
    /// [item vectors](Scorer::item_vectors). The logit of a row is the inner product of both, plus a constant for each user.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the model's logit is not an inner product; [`Error::Torch`] if libtorch fails.
    pub fn user_vectors(&self, features: &Features) -> Result<Tensor> {
        self.vectors("_user_vectors", features)
    }

    /// The vectors `[B, d]` of the items of a batch, float32 on the CPU.
    ///
    /// # Errors
    /// Those of [`Scorer::user_vectors`].
    pub fn item_vectors(&self, features: &Features) -> Result<Tensor> {
        self.vectors("_item_vectors", features)
    }

    fn vectors(&self, method: &str, features: &Features) -> Result<Tensor> {
        let Padded { ids, values } = features.padded()?.to_device(self.device);
        let vectors = no_grad(|| self.module.method_ts(method, &[ids, values])).map_err(|error| {
            let error = Error::from(error);
            match error.to_string().contains("is not defined") {
                true => Error::Unsupported(format!(
                    "{} has no vectors: its logit is not an inner product of a user's and an item's vector, or an earlier version \
                     wrote it",
                    self.path.display()
                )),
                false => error,
            }
        })?;
        Ok(vectors.to_device(Device::Cpu))
    }

    /// The logits `[B]` of a batch, float32 on the CPU; [`Label::prediction`](crate::Label::prediction) of the schema's
    /// label turns each into a probability or a label.
    ///
    /// # Errors
    /// [`Error::Torch`] if libtorch fails.
    pub fn logits(&self, features: &Features) -> Result<Tensor> {
        let Padded { ids, values } = features.padded()?.to_device(self.device);
        Ok(no_grad(|| self.module.forward_ts(&[ids, values]))?.to_device(Device::Cpu))
    }

    /// The text of one of the archive's extra files.
    ///
    /// # Errors
    /// [`Error::Format`] if there is no such file.
    pub fn extra_file(&self, name: &str) -> Result<String> {
        Archive::open(&self.path)?.extra_file(name)
    }
}

impl Score for Scorer {
    fn score_rows(&self, features: &Features) -> Result<Tensor> {
        self.logits(features)
    }
}
