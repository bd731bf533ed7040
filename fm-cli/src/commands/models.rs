//! `fm models`

use anyhow::Result;
use fm_core::model::Options;
use serde_json::json;

use super::{print, print_json};
use crate::args::Models;

pub fn run(args: &Models) -> Result<()> {
    if args.json {
        let entries = fm_models::MODELS.iter().map(|entry| {
            Ok(json!({
                "name": entry.name, "title": entry.title, "year": entry.year, "paper": entry.paper, "url": entry.url,
                "captures": entry.captures, "options": entry.resolve(&Options::new())?,
            }))
        });
        return print_json(&entries.collect::<Result<Vec<_>>>()?);
    }
    for entry in fm_models::MODELS {
        print(format!("{:<10} {} ({}): {}", entry.name, entry.title, entry.year, entry.captures))?;
        print(format!("{:<10} {}. {}", "", entry.paper, entry.url))?;
        let options = entry.resolve(&Options::new())?;
        if !options.is_empty() {
            let options: Vec<String> = options.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            print(format!("{:<10} options: {}", "", options.join(", ")))?;
        }
    }
    Ok(())
}
