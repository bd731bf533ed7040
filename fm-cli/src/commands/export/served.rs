//! The file that `fm serve` loads for a run.

use std::path::Path;

use anyhow::Result;
use fm_args::flags::Folders;
use fm_core::script::{Bundle, BundleOptions, Origin, SETTINGS_FILE};
use fm_data::catalogue::Items;
use fm_data::{Moved, RawData};
use fm_models::run::Run;

use super::{TITLES, borrowed, catalogue, titles};
use crate::predictor::Predictor;

/// The items of an exported file.
pub enum Exported {
    /// The number of items in its catalogue.
    Items(usize),
    /// It has no catalogue, and why.
    NoItems(String),
}

/// Writes the file of a run as `fm export --with-catalogue` does, or without a catalogue if there can be none. It has no
/// model card, whose figures take time to measure.
pub fn for_server(folder: &Path, folders: &Folders, output: &Path) -> Result<Exported> {
    let run = Run::open(folder)?;
    let trained = Predictor::of_run(&run, "cpu")?;
    let schema = &trained.schema;
    let items = if schema.user().is_none() || schema.item().is_none() {
        Err("its data has no users or no items".to_owned())
    } else if let Some(field) = schema.mixed_fields().next() {
        Err(format!("`{}` depends on the item and on the rest of the row", field.name))
    } else {
        let items = || -> Result<Items> {
            let source: RawData = trained.source(&Moved::default(), folders)?;
            Ok(source.catalogue()?.into_items())
        };
        items().map_err(|error| error.to_string())
    };
    let catalogue = items.as_ref().ok().map(|items| catalogue(items, schema)).transpose()?;
    let options = BundleOptions { catalogue: catalogue.as_ref(), ..BundleOptions::default() };
    let bundle = Bundle::new(trained.model.model.as_ref(), &trained.model.store, schema, &options)?;
    let mut files = vec![
        (SETTINGS_FILE, trained.settings.to_toml()?),
        (Origin::FILE, serde_json::to_string_pretty(&run.origin())?),
    ];
    let exported = match items {
        Ok(items) => {
            let count = items.ids.len();
            files.push((TITLES, serde_json::to_string(&titles(items))?));
            Exported::Items(count)
        }
        Err(reason) => Exported::NoItems(reason),
    };
    bundle.save(output, &borrowed(&files))?;
    Ok(exported)
}
