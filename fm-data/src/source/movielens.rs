//! A MovieLens release.

use std::path::{Path, PathBuf};

use fm_core::{Side, Weighting};

use super::interface::{DeclaredTable, Division, Reader, Source};
use crate::config::{DataConfig, HistoryForm, TaskName};
use crate::error::{Error, Result};
use crate::format::OnBadRow;
use crate::movielens::{self, CompactRatings};
use crate::spec::{FieldOrigin, FieldSpec, FieldSpecKind, ListSpec, SEPARATOR, TableSpec};
use crate::split::Split;
use crate::table::Origin;

/// Minimum rating of a film that a user likes.
const LIKED: f32 = 4.0;

/// The default length of histories, and the number of ratings above which a shorter one saves gigabytes.
const HISTORY: usize = 100;
const LONG_HISTORY_RATINGS: usize = 2_000_000;
const SHORT_HISTORY: usize = 20;

pub(super) const SOURCE: Source = Source {
    applies: |config| config.data.is_some(),
    open,
    terms: Some(
        "MovieLens is GroupLens' (University of Minnesota): research use, no redistribution, no commercial use without \
         permission; cite Harper and Konstan, *The MovieLens datasets: history and context*, 2015",
    ),
};

fn open(config: &DataConfig, data_dir: &Path) -> Result<Box<dyn Reader>> {
    let folder = movielens::locate(data_dir, config.data.as_deref().unwrap_or_default())?;
    Ok(Box::new(Release { folder, data_dir: data_dir.to_owned() }))
}

/// The folder of a release.
struct Release {
    folder: PathBuf,
    data_dir: PathBuf,
}

impl Reader for Release {
    fn files(&self) -> Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(&self.folder).map_err(Error::io("read", &self.folder))?;
        let mut files: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()).collect();
        files.sort();
        Ok(files)
    }

    fn read(&self, config: &DataConfig, _: bool) -> Result<DeclaredTable> {
        if config.implicit > 0 && config.task == TaskName::Ranking {
            return Err(Error::Spec(
                "the films that a user rated give away the films to rank: leave out `implicit`, or use `history`, \
                 which contains only earlier films"
                    .into(),
            ));
        }
        if config.on_bad_row == OnBadRow::Skip {
            return Err(Error::Spec("only rows of tables can be skipped, and this is a MovieLens release".into()));
        }
        let division = match config.split.parse()? {
            Split::Fold(name) => {
                let (train, test) = movielens::official_fold(&self.folder, &movielens::read(&self.folder)?, &name)?;
                Division::Fold { train, test }
            }
            _ => Division::Undivided,
        };
        let release = movielens::open(&self.folder)?;
        let movies = release.movies.clone();
        let CompactRatings { rows, labels, timestamps } = release.compact(&self.data_dir)?;
        let has_times = timestamps.iter().any(|time| *time != timestamps[0]);
        if !has_times {
            tracing::warn!("all timestamps are equal: there is no history, no hour and no weekday");
        }
        let default = if labels.len() <= LONG_HISTORY_RATINGS { HISTORY } else { SHORT_HISTORY };
        let history = if has_times { config.history.unwrap_or(default) } else { 0 };
        Ok(DeclaredTable {
            spec: spec(&rows.names(), history, config),
            labels,
            timestamps: Some(timestamps),
            weights: None,
            division,
            items: Some(movies),
            least_positive: Some(LIKED),
            origin: Origin::file(&self.folder),
            rows,
        })
    }
}

/// The fields of a release. Fields that only some releases have are included if they are among its columns.
fn spec(there: &[String], history: usize, config: &DataConfig) -> TableSpec {
    let one = |name: &str, side| FieldSpec::new(name, FieldSpecKind::Categorical, side);
    let several = |name: &str, side, max_len| {
        let kind = FieldSpecKind::MultiValued(ListSpec::new(SEPARATOR, max_len, Weighting::Sqrt));
        FieldSpec::new(name, kind, side)
    };
    let derived = |name: &str, side, len, origin| FieldSpec { origin, ..several(name, side, Some(len)) };
    let columns = [
        one("user_id", Side::User),
        one("movie_id", Side::Item),
        one("gender", Side::User),
        one("age", Side::User),
        one("occupation", Side::User),
        one("zip", Side::User),
        several("genres", Side::Item, None),
        one("year", Side::Item),
        one("hour", Side::Context),
        one("weekday", Side::Context),
    ];
    let mut fields: Vec<FieldSpec> = columns.into_iter().filter(|field| there.contains(&field.name)).collect();
    let history_form = if history > 0 { Some(config.history_form) } else { None };
    match history_form {
        Some(HistoryForm::Liked) => {
            fields.push(derived("history", Side::User, history, FieldOrigin::LikedBefore { least: LIKED }));
        }
        Some(HistoryForm::Sequence) => {
            let kind = FieldSpecKind::Sequence(ListSpec::new(SEPARATOR, Some(history), Weighting::Sum));
            fields.push(FieldSpec {
                origin: FieldOrigin::LikedBefore { least: f32::NEG_INFINITY },
                shares: Some("movie_id".into()),
                ..FieldSpec::new("history", kind, Side::User)
            });
        }
        None => {}
    }
    if config.implicit > 0 {
        fields.push(derived("rated", Side::User, config.implicit, FieldOrigin::ItemsOfUser));
        fields.push(derived("raters", Side::Item, config.implicit, FieldOrigin::UsersOfItem));
    }
    let min_count = |field: &FieldSpec| if field.shares.is_some() { 1 } else { config.min_count };
    let fields = fields.into_iter().map(|field| FieldSpec { min_count: min_count(&field), ..field }).collect();
    TableSpec {
        timestamp: Some("timestamp".into()),
        user: Some("user_id".into()),
        item: Some("movie_id".into()),
        title: Some("title".into()),
        ..TableSpec::new("rating", fields)
    }
}
