//! Scores a row with an exported file, without the model's code:
//! `cargo run --release -p fm-core --example score -- MODEL.pt reader=r01 book=b02`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::path::Path;

use fm_core::script::Scorer;
use fm_core::tch::Device;

/// Prints a file's score for a row, which is texts by field name. Omitted fields are missing.
pub fn score(model: &Path, row: &[(&str, &str)]) -> Result<f32, Box<dyn Error>> {
    let scorer = Scorer::load(model, Device::Cpu)?;
    let names: Vec<&str> = scorer.schema().fields().iter().map(|field| field.name.as_str()).collect();
    println!("fields: {}", names.join(", "));

    let scores = scorer.score([row.iter().copied()])?;
    println!("{}: {:.4}", scorer.schema().label().column, scores[0]);

    // The same in two steps. Encoded rows can be kept and scored again.
    let texts = names.iter().map(|name| row.iter().rfind(|(of, _)| of == name).map(|(_, text)| *text));
    let features = scorer.encoder().features(&[texts.collect::<Vec<_>>()])?;
    assert_eq!(scorer.predict(&features)?, scores);

    match scorer.recommend(row.iter().copied(), 3, &[]) {
        Ok(items) => items.iter().for_each(|(item, score)| println!("  {item}: {score:.4}")),
        Err(error) => println!("no recommendations: {error}"),
    }
    Ok(scores[0])
}

/// Scores the row given on the command line, after the file.
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, model, cells @ ..] = arguments.as_slice() else {
        return Err("usage: score MODEL.pt [FIELD=TEXT ...]".into());
    };
    let row: Option<Vec<(&str, &str)>> = cells.iter().map(|cell| cell.split_once('=')).collect();
    score(Path::new(model), &row.ok_or("expected FIELD=TEXT after MODEL.pt")?)?;
    Ok(())
}
