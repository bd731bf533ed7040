//! `fm explain`

mod fields;
mod row;
mod text;

use std::borrow::Cow;
use std::collections::HashMap;

use anyhow::{Result, anyhow, bail};
use fm_args::commands::Explain;
use fm_core::Score;
use fm_core::explain::{Parts, Shapley, pairs, parts, shapley};
use fm_data::RawData;
use fm_data::catalogue::{Catalogue, Rated};
use fm_data::table::strings;
use serde::Serialize;

use self::row::{Row, Titles, Value};
use super::export::TITLES;
use super::recommend::is_of_training;
use super::{print, print_json};
use crate::extremes::Extremes;
use crate::hints::with_hint;
use crate::predictor::{AnyModel, Predictor, moved};

/// The output of `--json`.
#[derive(Serialize)]
struct Explanation {
    #[serde(flatten)]
    pair: Option<Pair>,
    prediction: f32,
    logit: f32,
    /// `None` for an exported file, which does not contain the formula.
    parts: Option<Formula>,
    shapley: ByField,
}

/// A user and an item, with what the data says about them.
#[derive(Serialize)]
struct Pair {
    user: String,
    item: String,
    title: Option<String>,
    known_user: bool,
    known_item: bool,
    /// The label in the data, if the user has rated the item.
    label: Option<f32>,
    /// The part of the data that contains the row.
    part: Option<&'static str>,
}

/// The parts of the logit by the model's formula; terms of a kind are sorted by magnitude.
#[derive(Serialize)]
struct Formula {
    exact: bool,
    bias: f32,
    first_order: Option<Vec<Term<Value>>>,
    pairs: Option<Vec<Term<[Value; 2]>>>,
    /// The same pairs, summed by field.
    pairs_of_fields: Option<Vec<Term<[String; 2]>>>,
    lumps: Vec<Term<&'static str>>,
}

/// The Shapley value of each field that is not missing, sorted by magnitude.
#[derive(Serialize)]
struct ByField {
    baseline: f64,
    fields: Vec<Term<Vec<Value>>>,
    /// The largest standard error; `None` if the values are exact.
    standard_error: Option<f64>,
    /// The number of rows scored.
    rows: usize,
}

#[derive(Serialize)]
struct Term<T> {
    of: T,
    term: f64,
}

/// Number of terms of each kind to print by default.
const TERMS: usize = 5;

pub fn run(args: &Explain) -> Result<()> {
    if args.user.is_none() && args.row.is_empty() {
        return fields::run(args);
    }
    let predictor = Predictor::open(&args.model, &args.device.device)?;
    let (pair, row) = match (&args.user, &args.item) {
        (Some(user), Some(item)) => {
            let (pair, row) = from_data(args, &predictor, user, item)?;
            (Some(pair), row)
        }
        _ => (None, from_arguments(&args.row, &predictor)?),
    };
    let features = row.features(predictor.device);
    // Of a regression, all terms are in the unit of the label.
    let label = predictor.schema.label();
    let by_field = shapley(&predictor.schema, &features, |features| predictor.model.score_rows(features))?;
    let parts = match &predictor.model {
        AnyModel::Trained(trained) => parts(trained.model.as_ref(), &features)?.pop(),
        AnyModel::Exported(_) => None,
    };
    let prediction = label.prediction(by_field.logit as f32);
    let by_field = by_field.times(f64::from(label.scale));
    let logit = by_field.logit as f32;
    let mut extremes = Extremes::default();
    extremes.add_logits(&[logit]);
    extremes.warn_of_scores("");
    let explanation = Explanation {
        pair,
        prediction,
        logit,
        parts: parts.map(|parts| Formula::new(parts.times(label.scale), &row, &predictor)),
        shapley: ByField::new(by_field, &row, &predictor),
    };
    if args.form.json {
        return print_json(&explanation);
    }
    print(text::Page::new(&explanation, label, predictor.shift(), args.top.unwrap_or(TERMS)))
}

/// The row of a user and an item: from the data, or built from their attributes.
fn from_data(args: &Explain, predictor: &Predictor, user: &str, item: &str) -> Result<(Pair, Row)> {
    let source = predictor
        .source(&moved(args.moved.data.as_ref(), &args.moved.tables), &args.folders)
        .map_err(|error| anyhow!("{}; --row FIELD=VALUE explains a row without the data", with_hint(&error)))?;
    let catalogue = source.catalogue()?;
    let found = catalogue.pair(user, item)?;
    let schema = &predictor.schema;
    let roles = [(found.known_user, "user", schema.user(), user), (found.known_item, "item", schema.item(), item)];
    for (known, what, role, value) in roles {
        if !known {
            tracing::warn!("{what} {value} is not in the data: only the id is known");
        } else if !is_of_training(schema, role, value) {
            tracing::warn!("training does not know {what} {value}, which is in the data: the id counts as unknown");
        }
    }
    let names = predictor.schema.fields().iter().map(|field| strings(&found.frame, &field.name));
    let texts = names.map(|column| Ok(column?.get(0).map(str::to_owned))).collect::<Result<Vec<_>>>()?;
    let titles = titles(&source, catalogue);
    let title = predictor.schema.item().and_then(|field| titles.get(field, item)).map(str::to_owned);
    let (label, part) = found.rated.map_or((None, None), |Rated { label, part }| (Some(label), part));
    let (known_user, known_item) = (found.known_user, found.known_item);
    let pair = Pair { user: user.into(), item: item.into(), title, known_user, known_item, label, part };
    Ok((pair, Row::new(&predictor.schema, &texts, &titles)?))
}

fn titles(source: &RawData, catalogue: Catalogue<'_>) -> Titles {
    let fields = source.spec.fields_of_items().into_iter().map(str::to_owned).collect();
    let items = catalogue.into_items();
    Titles { fields, titles: items.ids.into_iter().zip(items.titles).collect() }
}

/// The row given on the command line.
fn from_arguments(given: &[(String, String)], predictor: &Predictor) -> Result<Row> {
    let schema = &predictor.schema;
    let mut columns: HashMap<&str, &str> = HashMap::new();
    for (name, value) in given {
        if !schema.columns().contains(&name.as_str()) {
            bail!("--row: unknown field `{name}`; the fields are {}", schema.columns().join(", "));
        }
        if let Some(before) = columns.insert(name, value) {
            bail!("--row: `{name}` is given twice, as `{before}` and `{value}`");
        }
    }
    let texts = schema.texts(|column| columns.get(column).copied());
    let texts: Vec<Option<String>> = texts.into_iter().map(|text| text.map(Cow::into_owned)).collect();
    // A file exported with a catalogue contains the titles.
    let file = predictor.bundle().and_then(|scorer| scorer.extra_file(TITLES).ok());
    let titles = file.and_then(|titles| serde_json::from_str(&titles).ok()).unwrap_or_default();
    let fields = schema.item().into_iter().map(str::to_owned).collect();
    Row::new(schema, &texts, &Titles { fields, titles })
}

impl Formula {
    fn new(parts: Parts, row: &Row, predictor: &Predictor) -> Formula {
        let exact = parts.is_exact();
        let Parts { bias, first_order, pairs: of_pairs, lumps, .. } = parts;
        let first_order = first_order.map(|terms| {
            let of_slot = |(slot, value): &(usize, Value)| Term { of: value.clone(), term: f64::from(terms[*slot]) };
            sorted(row.values.iter().map(of_slot))
        });
        let schema = &predictor.schema;
        let field_of_slots = schema.field_of_slots();
        let num_fields = schema.num_fields();
        let mut of_fields = vec![0.0; num_fields * num_fields];
        let of_pairs = of_pairs.map(|terms| {
            let mut values = vec![None; schema.num_slots()];
            row.values.iter().for_each(|(slot, value)| values[*slot] = Some(value));
            let mut met = vec![];
            for ((first, second), term) in pairs(values.len()).zip(terms) {
                if let (Some(a), Some(b)) = (values[first], values[second]) {
                    met.push(Term { of: [a.clone(), b.clone()], term: f64::from(term) });
                    of_fields[field_of_slots[first] * num_fields + field_of_slots[second]] += f64::from(term);
                }
            }
            sorted(met.into_iter())
        });
        let name = |field: usize| schema.fields()[field].name.clone();
        let between = of_fields.iter().enumerate().filter(|(_, term)| **term != 0.0);
        let between = between.map(|(at, &term)| Term { of: [name(at / num_fields), name(at % num_fields)], term });
        let pairs_of_fields = of_pairs.is_some().then(|| sorted(between));
        let lumps = lumps.into_iter().map(|(of, term)| Term { of, term: f64::from(term) }).collect();
        Formula { exact, bias, first_order, pairs: of_pairs, pairs_of_fields, lumps }
    }
}

impl ByField {
    fn new(found: Shapley, row: &Row, predictor: &Predictor) -> ByField {
        let of_slots = predictor.schema.field_of_slots();
        let of_field = |(field, term): (usize, f64)| {
            let of = row.values.iter().filter(|(slot, _)| of_slots[*slot] == field);
            Term { of: of.map(|(_, value)| value.clone()).collect::<Vec<_>>(), term }
        };
        let fields = found.values.into_iter().enumerate().map(of_field);
        let fields = sorted(fields.filter(|field| field.of.iter().any(|value| value.value.is_some())));
        let standard_error = found.standard_errors.map(|errors| errors.into_iter().fold(0.0, f64::max));
        ByField { baseline: found.baseline, fields, standard_error, rows: found.rows }
    }
}

/// Terms sorted by magnitude, largest first; equal terms stay in the order of the row.
fn sorted<T>(terms: impl Iterator<Item = Term<T>>) -> Vec<Term<T>> {
    let mut terms: Vec<Term<T>> = terms.collect();
    terms.sort_by(|a, b| b.term.abs().total_cmp(&a.term.abs()));
    terms
}
