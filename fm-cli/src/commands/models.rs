//! `fm models`

use anyhow::Result;
use fm_args::commands::Models;
use fm_core::model::Options;
use fm_core::summary::Summary;
use fm_core::terminal::grouped;
use fm_core::{Field, FieldKind, Label, List, ModelEntry, Schema, Side, Task, Weighting};
use serde_json::json;
use tch::Device;
use tch::nn::VarStore;

use super::{print, print_json};
use crate::console;

pub fn run(args: &Models) -> Result<()> {
    let mut entries = Vec::new();
    for entry in fm_models::MODELS {
        let (options, parameters) =
            (entry.resolve(&Options::new())?, parameters(entry, &ml_100k(entry.needs_history)?)?);
        if args.form.json {
            entries.push(json!({
                "name": entry.name, "title": entry.title, "year": entry.year, "paper": entry.paper, "url": entry.url,
                "captures": entry.captures, "needs_history": entry.needs_history, "options": options,
                "parameters_on_ml_100k": parameters,
            }));
            continue;
        }
        let options: Vec<String> = options.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let options = if options.is_empty() { "none".to_owned() } else { options.join(", ") };
        print(format!("{} - {} ({})", entry.name, entry.title, entry.year))?;
        for line in [
            format!("captures {}", entry.captures),
            format!("{}. {}", entry.paper, entry.url),
            format!("options: {options}"),
            format!("{} parameters on MovieLens-100K", grouped(parameters)),
        ] {
            print(format!("  {}", console::wrapped(&line, console::width(), 2, 4)))?;
        }
    }
    if args.form.json { print_json(&entries) } else { Ok(()) }
}

/// The number of parameters of a model with its default options.
fn parameters(entry: &ModelEntry, schema: &Schema) -> Result<i64> {
    let store = VarStore::new(Device::Cpu);
    let model = entry.build(&Options::new(), &store.root(), schema)?;
    Ok(Summary::new(entry.name, model.as_ref(), &store).total())
}

/// (name, side, slots, values) of each field of `fm train --data ml-100k`, with the values of all 100,000 ratings. A
/// run has only the values of its training rows: with the default split about 30 films fewer, and 30 fewer in the
/// history.
const ML_100K: [(&str, Side, usize, usize); 11] = [
    ("user_id", Side::User, 1, 943),
    ("movie_id", Side::Item, 1, 1682),
    ("gender", Side::User, 1, 2),
    ("age", Side::User, 1, 61),
    ("occupation", Side::User, 1, 21),
    ("zip", Side::User, 1, 382),
    ("genres", Side::Item, 6, 19),
    ("year", Side::Item, 1, 71),
    ("hour", Side::Context, 1, 24),
    ("weekday", Side::Context, 1, 7),
    ("history", Side::User, 100, 1440),
];

/// A schema with the fields of [`ML_100K`], to count parameters without the data. The history of a model that needs one is
/// that of `data.history_form = "sequence"`.
fn ml_100k(needs_history: bool) -> Result<Schema> {
    let fields = ML_100K.map(|(name, side, slots, values)| {
        let kind = match slots {
            1 => FieldKind::Categorical,
            max_len if needs_history && name == "history" => {
                let kind = FieldKind::Sequence(List::new("|", max_len, Weighting::Sum));
                return Field::new(name, kind, side, vec![]).sharing("movie_id");
            }
            max_len => FieldKind::MultiValued(List::new("|", max_len, Weighting::Sqrt)),
        };
        Field::new(name, kind, side, (0..values).map(|value| value.to_string()).collect())
    });
    Ok(Schema::new(Label::fit("rating", Task::Regression, [1.0, 5.0]), fields.into())?)
}

#[cfg(test)]
mod tests {
    use fm_args::clap::Parser;
    use fm_args::{Args, Command};
    use fm_data::RawData;
    use fm_data::movielens::locate;

    use super::*;
    use crate::settings::{Settings, data_dir};

    #[test]
    #[allow(clippy::print_stderr, reason = "a skipped test reports that it was skipped")]
    fn models_are_counted_on_the_fields_that_movielens_has() {
        for needs_history in [false, true] {
            let form = if needs_history { "sequence" } else { "liked" };
            let form = format!("data.history_form={form}");
            let args = Args::try_parse_from(["fm", "train", "--data", "ml-100k", "--set", &form]).unwrap();
            let Command::Train(train) = args.command else { panic!("no training") };
            let data_dir = data_dir(&train.rows.folders).unwrap();
            if locate(&data_dir, "ml-100k").is_err() {
                return eprintln!("skipped: MovieLens-100K is not in {}", data_dir.display());
            }
            let source = RawData::open(&Settings::from_args(&train).unwrap().data, &data_dir).unwrap();
            let all: Vec<u32> = (0..source.labels.len() as u32).collect();
            let schema = fm_data::fit(&source.rows, &source.spec, &source.labels, &all, Task::Regression).unwrap();
            let expected = ml_100k(needs_history).unwrap();
            assert_eq!(schema.num_fields(), expected.num_fields());
            for (field, expected) in schema.fields().iter().zip(expected.fields()) {
                assert_eq!((&field.name, &field.kind, field.side), (&expected.name, &expected.kind, expected.side));
                assert_eq!(field.shares, expected.shares);
                let (found, most) = (field.vocabulary.len(), expected.vocabulary.len());
                // The history contains only films that training rows like, whichever rows the schema is fitted to.
                let fits = if field.name == "history" {
                    (most.saturating_sub(60)..=most).contains(&found)
                } else {
                    found == most
                };
                assert!(fits, "{} has {found} values, not {most}", field.name);
            }
        }
    }
}
