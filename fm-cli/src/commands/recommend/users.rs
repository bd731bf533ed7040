//! Recommendations for many users, as a table.

use std::path::Path;
use std::sync::atomic::Ordering;

use anyhow::{Result, bail};
use fm_args::commands::Recommend;
use fm_core::ranking::ItemSlots;
use fm_core::terminal::grouped;
use fm_core::{Encoder, Records, Rows, Score};
use fm_data::catalogue::{Catalogue, Users};
use fm_data::table::{check_output, read_table, strings};
use fm_data::{MissingColumns, TableWriter, encode};
use polars::prelude::*;
use tch::{Device, Kind, Tensor, no_grad};

use crate::extremes::Extremes;
use crate::interruption::{Interrupted, stop_at_ctrl_c};
use crate::predictor::{Predictor, moved};
use crate::progress::RowProgress;
use crate::selection::Selection;

/// The number of candidates to score at once: each of some users with each of some items.
const CANDIDATES: usize = 1 << 17;
/// The number of users whose rows are written at once.
const WRITTEN: usize = 1 << 12;

pub fn run(args: &Recommend, users: &str, output: &Path) -> Result<()> {
    check_output(output)?;
    let predictor = Predictor::open(&args.model, &args.device.device)?;
    let moved = moved(args.moved.data.as_ref(), &args.moved.tables);
    let source = predictor.source(&moved, &args.folders)?;
    let catalogue = source.catalogue()?;
    let chosen = if users == "all" { None } else { Some(ids(users, source.spec.user.as_deref())?) };
    let users = catalogue.users(chosen.as_deref())?;
    if users.unknown > 0 {
        tracing::warn!(
            "{} of the {} users are not in the data: their items are for an unknown user",
            grouped(users.unknown as i64),
            grouped(users.ids.len() as i64)
        );
    }
    let selection = Selection::new(catalogue.items(), &predictor.schema, &args.r#where, args.diversity)?;
    let scoring = Scoring::new(&predictor, &catalogue, &users)?;
    let item = source.spec.item.as_deref();
    let reading = item.map(|item| source.reading(item)).unwrap_or_default();
    let excluded: Vec<&str> = args.exclude.iter().filter_map(|item| reading.value(item)).collect();
    let is_excluded: Vec<bool> = catalogue.items().ids.iter().map(|id| excluded.contains(&id.as_str())).collect();
    let mut is_left_out = is_excluded.clone();
    let stop = stop_at_ctrl_c()?;
    let mut writer = TableWriter::create(output)?;
    let mut progress = RowProgress::of_rows(users.ids.len() as u64);
    let mut lists = Lists::new(&catalogue, &users);
    let mut extremes = Extremes::default();
    let all: Vec<usize> = (0..users.ids.len()).collect();
    for some in all.chunks(scoring.users_at_once()) {
        if stop.load(Ordering::Relaxed) {
            let done = grouped(progress.rows() as i64);
            return Err(Interrupted(format!("interrupted after {done} users: no file was written")).into());
        }
        for (&user, logits) in some.iter().zip(scoring.logits(some)?) {
            extremes.add_logits(&logits);
            users.seen[user].iter().for_each(|&place| is_left_out[place as usize] = true);
            let best = selection.best(&logits, args.top, |place| !is_left_out[place]);
            users.seen[user].iter().for_each(|&place| is_left_out[place as usize] = is_excluded[place as usize]);
            lists.push(user, &best, |place| predictor.schema.label().score(logits[place]));
        }
        progress.add(some.len(), *some.last().unwrap_or(&0) as u64 + 1);
        if lists.users >= WRITTEN {
            writer.write(&mut lists.take()?)?;
        }
    }
    writer.write(&mut lists.take()?)?;
    writer.finish()?;
    extremes.warn_of_scores(", and their items are left out");
    tracing::info!("wrote {} for {}", output.display(), progress.finish().replace("rows", "users"));
    Ok(())
}

/// The ids in a table: the column of the user, or the only one.
fn ids(file: &str, user: Option<&str>) -> Result<Vec<String>> {
    let table = read_table(file)?;
    let names: Vec<&str> = table.get_column_names().into_iter().map(PlSmallStr::as_str).collect();
    let column = match (user.filter(|user| names.contains(user)), &names[..]) {
        (Some(user), _) => user,
        (None, [only]) => only,
        (None, _) => {
            bail!("{file} has no column `{}` of users; its columns are {}", user.unwrap_or("user"), names.join(", "))
        }
    };
    Ok(strings(&table, column)?.iter().flatten().map(str::to_owned).collect())
}

/// The scores of users with all items.
struct Scoring<'a, M> {
    predictor: &'a Predictor<M>,
    users: Records,
    items: ItemSlots,
}

impl<'a, M: Score> Scoring<'a, M> {
    fn new(predictor: &'a Predictor<M>, catalogue: &Catalogue<'_>, users: &Users) -> Result<Scoring<'a, M>> {
        let encoder = Encoder::new(&predictor.schema);
        let encoded = |frame: &DataFrame| encode(frame, &encoder, None, MissingColumns::Unknown);
        let (users, items) = (encoded(&users.frame)?, encoded(&catalogue.items().frame)?);
        let all: Vec<usize> = (0..items.len()).collect();
        let items = ItemSlots::new(&predictor.schema, &items.batch(&all, Device::Cpu)?.features)?;
        Ok(Scoring { predictor, users, items: items.to_device(predictor.device) })
    }

    /// The number of users whose candidates are scored at once.
    fn users_at_once(&self) -> usize {
        (CANDIDATES / self.items.len()).max(1)
    }

    /// The logits of all items for each of some users.
    fn logits(&self, users: &[usize]) -> Result<Vec<Vec<f32>>> {
        let device = self.predictor.device;
        let rows = self.users.batch(users, device)?.features;
        let (n, items) = (users.len(), self.items.len());
        let mut logits: Vec<Vec<f32>> = users.iter().map(|_| Vec::with_capacity(items)).collect();
        let at_once = (CANDIDATES / n).clamp(1, items);
        for first in (0..items).step_by(at_once) {
            let end = items.min(first + at_once);
            let places = Tensor::f_arange_start(first as i64, end as i64, (Kind::Int64, device))?;
            let places = places.f_expand([n as i64, (end - first) as i64], false)?.f_contiguous()?;
            let candidates = self.items.candidates(&rows, &places)?;
            let found = no_grad(|| self.predictor.model.score_candidates(&candidates))?;
            let found = Vec::<f32>::try_from(found.to_kind(Kind::Float).to_device(Device::Cpu).f_flatten(0, -1)?)?;
            logits.iter_mut().zip(found.chunks(end - first)).for_each(|(all, some)| all.extend_from_slice(some));
        }
        Ok(logits)
    }
}

/// The rows of the table: a line per user and item.
struct Lists<'a> {
    catalogue: &'a Catalogue<'a>,
    of: &'a Users,
    /// The number of users in the columns.
    users: usize,
    columns: Columns<'a>,
}

#[derive(Default)]
struct Columns<'a> {
    users: Vec<&'a str>,
    ranks: Vec<u32>,
    items: Vec<&'a str>,
    titles: Vec<&'a str>,
    scores: Vec<f32>,
}

impl<'a> Lists<'a> {
    fn new(catalogue: &'a Catalogue<'a>, of: &'a Users) -> Lists<'a> {
        Lists { catalogue, of, users: 0, columns: Columns::default() }
    }

    /// Appends the items of a user, the best first.
    fn push(&mut self, user: usize, best: &[usize], score: impl Fn(usize) -> f32) {
        let items = self.catalogue.items();
        for (rank, &place) in best.iter().enumerate() {
            self.columns.users.push(&self.of.ids[user]);
            self.columns.ranks.push(rank as u32 + 1);
            self.columns.items.push(&items.ids[place]);
            self.columns.titles.push(&items.titles[place]);
            self.columns.scores.push(score(place));
        }
        self.users += 1;
    }

    /// The rows so far, which are removed.
    fn take(&mut self) -> Result<DataFrame> {
        self.users = 0;
        let Columns { users, ranks, items, titles, scores } = std::mem::take(&mut self.columns);
        Ok(df!("user" => users, "rank" => ranks, "item" => items, "title" => titles, "score" => scores)?)
    }
}
