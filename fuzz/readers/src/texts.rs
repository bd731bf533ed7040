//! Readers of single cells: numbers, labels, values and lists.

use fm_core::number::{MAX_DEVIATIONS, number as parse, standardised};
use fm_core::schema::{Reading, canonical};
use fm_core::{List, Weighting};
use fm_data::table::Origin;
use fm_data::{Split, table};
use polars::prelude::df;

/// A text as a number, a label, a whole number and a value.
pub fn number(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else { return false };
    let number = parse(text);
    if let Some(number) = number {
        assert!(number.is_finite());
        for (mean, std) in [(0.0, 1.0), (1.7e12, 1e-3), (-1e300, 1e300)] {
            assert!(f64::from(standardised(number, mean, std)).abs() <= MAX_DEVIATIONS);
        }
    }
    let value = canonical(text);
    assert_eq!(canonical(value), value);
    if let Ok(split) = text.parse::<Split>() {
        assert_eq!(split.to_string().parse::<Split>().unwrap(), split);
    }
    let cell = df!("y" => [text]).unwrap();
    let origin = Origin::file("t.parquet");
    let is_label = table::labels(&cell, "y", &origin).is_ok_and(|labels| labels[0].is_finite());
    let is_time = table::timestamps(&cell, "y", &origin).is_ok();
    let is_weight = table::weights(&cell, "y", &origin).is_ok_and(|weights| weights[0] >= 0.0);
    number.is_some() || is_label || is_time || is_weight
}

pub fn numbers() -> Vec<Vec<u8>> {
    let texts = [
        "4.5",
        " -1e-3 ",
        "1e400",
        "nan",
        "+.5",
        "True",
        "no",
        "4.0",
        "1700000000",
        "kfold:5:0:0.1",
        "2023-11-14 22:41:28",
        "0x1p3",
    ];
    let valid = texts.into_iter().filter(|text| number(text.as_bytes()));
    valid.map(|text| text.as_bytes().to_vec()).collect()
}

/// A text as a list. The first byte chooses how it is read.
pub fn list(bytes: &[u8]) -> bool {
    let Some((&choice, text)) = bytes.split_first() else { return false };
    let Ok(text) = str::from_utf8(text) else { return false };
    let nulls = ["None".to_owned(), "-1".to_owned()];
    let reading = Reading::new(choice & 1 != 0, if choice & 2 != 0 { &nulls } else { &[] });
    let weighting = if choice & 4 != 0 { Weighting::Given } else { Weighting::Sum };
    let list = List::new(if choice & 8 != 0 { ", " } else { "|" }, 5, weighting);
    let pieces: Vec<_> = reading.pieces(Some(text), &list).collect();
    for (value, x) in &pieces {
        assert!(x.is_finite());
        assert!(value.is_empty() || reading.value(value) == Some(value), "{value:?}");
    }
    let kept = list.kept(reading.pieces(Some(text), &list));
    assert_eq!(kept.count(), pieces.len().min(list.max_len));
    !pieces.is_empty()
}

pub fn lists() -> Vec<Vec<u8>> {
    let texts = ["a|b||c", "['a', \"b\"]", r#"["\u00e9\ud83d\ude00", None, 4.0]"#, "a:0.5|b:1e9|c:x", "a, b, None"];
    let choices = [0, 3, 4, 12];
    texts.iter().flat_map(|text| choices.map(|choice| [&[choice], text.as_bytes()].concat())).collect()
}
