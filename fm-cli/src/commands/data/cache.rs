//! `fm data cache`

use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Result, bail};
use fm_args::commands::{Cache, Clear};
use fm_core::terminal::{grouped, line};
use fm_data::kept::{Kept, Kind, Removal, kept};
use serde_json::{Value, json};

use super::super::{print, print_json};
use crate::settings::{cache_dir, data_dir};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub fn run(args: &Cache) -> Result<()> {
    let (data_dir, cache_dir) = (data_dir(&args.folders)?, cache_dir(&args.folders)?);
    let all = kept(&data_dir, &cache_dir)?;
    let Some(clear) = args.clear else {
        return if args.form.json { print_json(&json(&all)) } else { list(&all, &data_dir.to_string_lossy()) };
    };
    let least = DAY.saturating_mul(args.older_than.map_or(0, |days| u32::try_from(days).unwrap_or(u32::MAX)));
    let is_meant = |one: &Kept| (clear == Clear::All || one.kind != Kind::Release) && one.age() >= least;
    let (mut removed, mut used, mut failed) = (vec![], 0, vec![]);
    for one in all.into_iter().filter(is_meant) {
        match one.remove() {
            Ok(Removal::Removed) => removed.push(one),
            Ok(Removal::InUse) => used += 1,
            Err(error) => failed.push(error),
        }
    }
    if args.form.json {
        print_json(&json(&removed))?;
    } else {
        let bytes = removed.iter().map(|one| one.bytes).sum();
        print(format!("removed {} of {}: {} freed", things(removed.len()), data_dir.display(), size(bytes)))?;
    }
    if used > 0 {
        tracing::info!("{} in use: left", things(used));
    }
    match failed.first() {
        None => Ok(()),
        Some(first) => bail!("{} could not be removed: {first}", things(failed.len())),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

fn things(count: usize) -> String {
    format!("{} {}", grouped(count as i64), if count == 1 { "item" } else { "items" })
}

fn list(all: &[Kept], folder: &str) -> Result<()> {
    for one in all {
        let name = one.path.file_name().unwrap_or_default().to_string_lossy();
        let source = if one.source.is_empty() { "unknown rows".into() } else { line(&one.source) };
        let days = one.age().as_secs() / DAY.as_secs();
        let age = match days {
            0 => "today".into(),
            1 => "1 day ago".into(),
            days => format!("{} days ago", grouped(days as i64)),
        };
        let place = if one.kind == Kind::Release { String::new() } else { format!("  [cache/{}]", line(&name)) };
        print(format!("{:>10}  {age:<14}  {:<8}  {source}{place}", size(one.bytes), word(one.kind)))?;
    }
    let bytes = all.iter().map(|one| one.bytes).sum();
    print(format!("{:>10}  in {} of {}", size(bytes), things(all.len()), line(folder)))
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Encoded => "encoded",
        Kind::LeftOver => "leftover",
        Kind::Release => "release",
    }
}

fn json(all: &[Kept]) -> Value {
    let one = |one: &Kept| {
        let seconds = one.used.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        json!({
            "kind": word(one.kind), "source": one.source, "path": one.path, "bytes": one.bytes, "used": seconds,
        })
    };
    all.iter().map(one).collect()
}
