//! `fm recommend`

mod users;

use std::collections::{BTreeMap, HashSet};

use anyhow::{Result, bail};
use fm_args::commands::Recommend;
use fm_core::terminal::line;
use fm_core::{Records, Schema, Side};
use fm_data::catalogue::Unseen;
use fm_data::{Moved, RawData};
use serde::Serialize;

use super::export::TITLES;
use super::{print, print_json};
use crate::console::decimals_of;
use crate::extremes::warn_of_clamped;
use crate::predictor::{Predictor, moved};
use crate::selection::Selection;

/// The output of `--json`.
#[derive(Serialize)]
struct Recommendations<'a> {
    user: &'a str,
    /// Whether the data contains the user or, without data, the vocabulary of the file. `None` for a hashed user
    /// without data.
    known_user: Option<bool>,
    items: Vec<Item>,
}

#[derive(Serialize)]
struct Item {
    rank: usize,
    item: String,
    title: String,
    score: f32,
    /// Whether training has seen the item; hashed items are not known to be either.
    known_item: Option<bool>,
}

pub fn run(args: &Recommend) -> Result<()> {
    if let (Some(users), Some(output)) = (&args.users, &args.output) {
        return users::run(args, users, output);
    }
    let predictor = Predictor::open(&args.model, &args.device.device)?;
    let found = if args.about.is_empty() {
        let moved = moved(args.moved.data.as_ref(), &args.moved.tables);
        match predictor.source(&moved, &args.folders) {
            Ok(source) => from_data(args, &predictor, &source)?,
            // An exported file may be on a machine without the data.
            Err(error) if moved != Moved::default() => return Err(error),
            Err(error) => match from_catalogue(args, &predictor) {
                Ok(found) => {
                    tracing::warn!(
                        "the data cannot be read ({error}): recommending from all items of the file, by the user's id \
                         alone; --about adds values of the user, --exclude leaves items out"
                    );
                    found
                }
                Err(_) => return Err(error),
            },
        }
    } else {
        from_catalogue(args, &predictor)?
    };
    if args.form.json {
        return print_json(&found);
    }
    let digits = decimals_of(predictor.schema.label(), 3);
    for Item { rank, item, title, score, known_item } in found.items {
        let mark = if known_item == Some(false) { "  not in the training rows" } else { "" };
        print(line(&format!("{rank:>3}. {score:.digits$}  {title}  [{item}]{mark}")))?;
    }
    Ok(())
}

/// Recommends items without a row of the user, using the user's values in the data.
fn from_data<'a>(args: &'a Recommend, predictor: &Predictor, source: &RawData) -> Result<Recommendations<'a>> {
    let user = args.user.as_deref().unwrap_or_default();
    let Unseen { items, known_user } = source.catalogue()?.unseen(user)?;
    if !known_user {
        warn_unknown(&predictor.schema, user, "in the data");
    } else if !is_of_training(&predictor.schema, predictor.schema.user(), user) {
        tracing::warn!(
            "training does not know user {user}, who is in the data: the items are for an unknown user with the same other values"
        );
    }
    let selection = Selection::new(&items, &predictor.schema, &args.r#where, args.diversity)?;
    let best = predictor.best(&items, args.top, &args.exclude, &selection)?;
    let known = KnownItems::of(&predictor.schema);
    let item = |(rank, (row, score)): (usize, (usize, f32))| Item {
        rank: rank + 1,
        item: items.ids[row].clone(),
        title: items.titles[row].clone(),
        score,
        known_item: known.contains(&items.ids[row]),
    };
    let best = best.into_iter().enumerate().map(item).collect();
    Ok(Recommendations { user, known_user: Some(known_user), items: best })
}

/// Recommends items of an exported file, using the user's values on the command line.
fn from_catalogue<'a>(args: &'a Recommend, predictor: &Predictor) -> Result<Recommendations<'a>> {
    let Some(scorer) = predictor.bundle() else {
        bail!("{} is a run: --about requires an exported file with a catalogue", args.model.display());
    };
    if !args.r#where.is_empty() || args.diversity > 0.0 {
        bail!(
            "--where and --diversity read the items of the data: an exported file alone recommends from all of its items"
        );
    }
    let schema = scorer.schema();
    let Some(position) = schema.user().and_then(|user| schema.field_index(user)) else {
        bail!("{} has no user field: declare one as `user` in schema.toml and train again", args.model.display());
    };
    let id_of_user = args.user.as_deref().unwrap_or_default();
    let user = &schema.fields()[position];
    let mut known = vec![(user.column(), id_of_user)];
    for (name, value) in &args.about {
        let mut fields = schema.fields().iter().filter(|field| field.columns().any(|column| column == name)).peekable();
        if fields.peek().is_none() {
            bail!("--about: unknown field `{name}`; the fields are {}", schema.columns().join(", "));
        }
        if fields.all(|field| field.side == Side::Item || schema.item() == Some(field.name.as_str())) {
            bail!("--about: `{name}` is a field of the item, and the file already contains the items");
        }
        match known.iter().find(|(given, _)| *given == name.as_str()) {
            Some((_, given)) if *given != value => {
                bail!("--about: `{name}` is given twice, as `{given}` and `{value}`")
            }
            Some(_) => {}
            None => known.push((name, value)),
        }
    }
    let id = schema.reading(position).value(id_of_user);
    let is_known = |id: &str| schema.vocabulary(position).iter().any(|known| known == id);
    let known_user = schema.hash_buckets(position).is_none().then(|| id.is_some_and(is_known));
    if known_user == Some(false) {
        warn_unknown(schema, id_of_user, "in the file");
    }
    let texts = schema.texts(|column| known.iter().find(|(name, _)| *name == column).map(|(_, text)| *text));
    let texts: Vec<Option<&str>> = texts.iter().map(Option::as_deref).collect();
    warn_of_clamped(schema, &Records::from_texts(schema, &[texts], &[0.0])?, "user");
    let exclude: Vec<&str> = args.exclude.iter().map(String::as_str).collect();
    let found = scorer.recommend(known, args.top, &exclude)?;
    let known = KnownItems::of(schema);
    // A file written by another program may have no titles.
    let titles: BTreeMap<String, String> =
        scorer.extra_file(TITLES).ok().and_then(|titles| serde_json::from_str(&titles).ok()).unwrap_or_default();
    let item = |(rank, (item, score)): (usize, (String, f32))| {
        let title = titles.get(&item).unwrap_or(&item).clone();
        Item { rank: rank + 1, title, known_item: known.contains(&item), item, score }
    };
    Ok(Recommendations { user: id_of_user, known_user, items: found.into_iter().enumerate().map(item).collect() })
}

/// The items of the training rows.
struct KnownItems<'a> {
    /// None if the schema has no item, or hashes it.
    ids: Option<HashSet<&'a str>>,
}

impl KnownItems<'_> {
    fn of(schema: &Schema) -> KnownItems<'_> {
        let field = schema.item().and_then(|item| schema.field_index(item));
        let field = field.filter(|&field| schema.hash_buckets(field).is_none());
        KnownItems { ids: field.map(|field| schema.vocabulary(field).iter().map(String::as_str).collect()) }
    }

    fn contains(&self, item: &str) -> Option<bool> {
        self.ids.as_ref().map(|ids| ids.contains(item))
    }
}

/// Whether the vocabulary of a role's field has a value. Hashed values, and those of a role that is no field, count as
/// known.
pub fn is_of_training(schema: &Schema, role: Option<&str>, value: &str) -> bool {
    let field = role.and_then(|role| schema.field_index(role)).filter(|&field| schema.hash_buckets(field).is_none());
    field.is_none_or(|field| {
        let value = schema.reading(field).value(value);
        value.is_some_and(|value| schema.vocabulary(field).iter().any(|known| known == value))
    })
}

fn warn_unknown(schema: &Schema, user: &str, place: &str) {
    let field = schema.user().and_then(|user| schema.field_index(user));
    let whom = match field.and_then(|field| schema.hash_buckets(field)) {
        Some(_) => "users of the same hash bucket",
        None => "an unknown user",
    };
    tracing::warn!("user {user} is not {place}: the items are for {whom}");
}
