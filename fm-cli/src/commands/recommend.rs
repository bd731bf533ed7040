//! `fm recommend`

use anyhow::Result;
use fm_core::Encoder;
use fm_data::source::{DataConfig, Source};
use fm_data::{MissingColumns, encode};
use serde::Serialize;

use super::{print, print_json};
use crate::args::Recommend;
use crate::predictor::Predictor;
use crate::progress::during;
use crate::settings::data_dir;

/// What `--json` prints.
#[derive(Serialize)]
struct Recommendations<'a> {
    user: &'a str,
    /// Whether the user is in the data.
    known_user: bool,
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    rank: usize,
    item: &'a str,
    title: &'a str,
    score: f32,
}

pub fn run(args: &Recommend) -> Result<()> {
    let predictor = Predictor::open(&args.model, args.device)?;
    let mut config: DataConfig = predictor.settings.data.clone();
    if args.data.is_some() {
        config = DataConfig { data: args.data.clone(), train: None, valid: None, test: None, ..config };
    }
    let data_dir = data_dir(&args.folders)?;
    let source = during("reading data", || Source::open(&config, &data_dir))?;
    let candidates = source.candidates(&args.user)?;
    if !candidates.known_user {
        let schema = &predictor.schema;
        let field = schema.user().and_then(|user| schema.field_index(user)).map(|user| &schema.fields()[user]);
        let whom = match field.and_then(|field| field.hash_buckets) {
            Some(_) => "the users of the same hash bucket",
            None => "a user of whom nothing is known",
        };
        tracing::warn!("user {} is not in the data: these are the items for {whom}", args.user);
    }
    let encoded = encode(&candidates.frame, &Encoder::new(&predictor.schema), None, MissingColumns::Error)?;
    // Ranked by logit: predictions stop at the best label, where several would be equal.
    let logits = predictor.encoded_logits(encoded)?;
    let label = predictor.schema.label();

    let mut order: Vec<usize> = (0..logits.len()).collect();
    // Equal scores keep the catalogue's order.
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    let item = |(rank, &row): (usize, &usize)| Item {
        rank: rank + 1,
        item: &candidates.items[row],
        title: &candidates.titles[row],
        score: label.prediction(logits[row]),
    };
    let items: Vec<Item<'_>> = order.iter().take(args.top).enumerate().map(item).collect();
    if args.json {
        return print_json(&Recommendations { user: &args.user, known_user: candidates.known_user, items });
    }
    for Item { rank, item, title, score } in items {
        print(format!("{rank:>3}. {score:.3}  {title}  [{item}]"))?;
    }
    Ok(())
}
