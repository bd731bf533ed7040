//! Readers of binary files of our own: encoded rows and checkpoints.

use fm_core::tch::Device;
use fm_core::train::{TrainState, checkpoint as checkpoints_of};
use fm_core::{Records, Rows};
use fm_models::run::{BuiltModel, ModelSettings};
use xxhash_rust::xxh3::xxh3_64;

use crate::declarations::schema;
use crate::file;

/// A file of encoded rows. What is accepted is what would be written.
pub fn rows(bytes: &[u8]) -> bool {
    let schema = schema();
    let Ok(rows) = Records::open(file("t.rows", bytes), &schema) else { return false };
    let numbers: Vec<usize> = (0..rows.len()).collect();
    for row in rows.rows() {
        assert!(row.label().is_finite() && row.weight().is_none_or(f32::is_finite));
        assert_eq!(row.fields().count(), schema.num_fields());
        assert!(
            row.fields()
                .all(|field| field.values().all(f32::is_finite)
                    && field.ids().all(|id| i64::from(id) < schema.num_ids()))
        );
    }
    assert_eq!((rows.labels().len(), rows.unknown_counts().len()), (rows.len(), schema.num_fields()));
    assert!(rows.groups().is_none_or(|groups| groups.len() == rows.len()));
    let _ = (rows.clamped(), rows.digest());
    if !numbers.is_empty() {
        let batch = rows.batch(&numbers, Device::Cpu).unwrap();
        assert_eq!(batch.labels.size(), [rows.len() as i64]);
    }
    let copy = file("copy.rows", b"");
    rows.save(&copy, &schema).unwrap();
    assert!(std::fs::read(copy).unwrap() == bytes, "the file is not the one that would be written");
    true
}

pub fn rows_files() -> Vec<Vec<u8>> {
    let schema = schema();
    let texts = [
        ["ann", "1", "new:0.5|old", "1|2|1|9", "31.5"],
        ["carl", "2", "", "", ""],
        ["", "", "x|new:1e30", "5", "1e30"],
    ]
    .map(|row| row.map(Some));
    let records = || Records::from_texts(&schema, &texts, &[1.0, 5.0, 2.5]).unwrap();
    let weighted = records().with_weights(Some(&[0.5, 0.0, 2.0])).unwrap();
    let grouped = records().with_groups(Some(vec![7, -1, i64::MAX])).unwrap();
    let none: [[Option<&str>; 5]; 0] = [];
    let empty = Records::from_texts(&schema, &none, &[]).unwrap();
    let saved = |rows: Records| {
        let path = file("seed.rows", b"");
        rows.save(&path, &schema).unwrap();
        std::fs::read(path).unwrap()
    };
    [records(), weighted, grouped, empty].map(saved).into()
}

fn model() -> BuiltModel {
    let options = [("embedding_dim".to_owned(), 1.into())].into_iter().collect();
    ModelSettings { name: "fm".into(), options }.build(&schema(), Device::Cpu).unwrap()
}

/// A checkpoint. Its hash is put right first: otherwise, no changed file would be read any further.
pub fn checkpoint(bytes: &[u8]) -> bool {
    const HASH: &[u8] = b"\"xxh3\":\"";
    let mut bytes = bytes.to_vec();
    if let Some(at) = bytes.windows(HASH.len()).position(|word| word == HASH)
        && bytes.len() >= at + HASH.len() + 16
    {
        let digits = at + HASH.len()..at + HASH.len() + 16;
        bytes[digits.clone()].fill(b'0');
        let hash = format!("{:016x}", xxh3_64(&bytes));
        bytes[digits].copy_from_slice(hash.as_bytes());
    }
    let path = file("t.safetensors", &bytes);
    let model = model();
    let Ok(_) = checkpoints_of::load(&path, &model.store) else { return false };
    assert!(model.store.variables().values().all(|tensor| tensor.isfinite().all().int64_value(&[]) == 1));
    true
}

pub fn checkpoints() -> Vec<Vec<u8>> {
    let path = file("seed.safetensors", b"");
    checkpoints_of::save(&path, &model().store, &TrainState::default()).unwrap();
    vec![std::fs::read(path).unwrap()]
}
