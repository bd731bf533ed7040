//! Every model's file with smaller tables scores as the model does with its tables rounded by hand.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rows;
mod variants;

use fm_core::Task;
use fm_core::script::{Bundle, BundleOptions, Precision, Scorer};
use rows::{disturb, features, schema_with};
use tch::nn::VarStore;
use tch::{CModule, Device, Kind, Tensor, no_grad};
use variants::{alone, variants_with};

/// What a file gives back of a table.
fn rounded(table: &Tensor, precision: Precision) -> Tensor {
    match precision {
        Precision::F32 => table.copy(),
        Precision::F16 => table.to_kind(Kind::Half).to_kind(Kind::Float),
        Precision::Bf16 => table.to_kind(Kind::BFloat16).to_kind(Kind::Float),
        Precision::Int8 if table.size()[1] == 1 => table.copy(),
        Precision::Int8 => {
            let scale = (table.abs().amax(&[1i64][..], true) / 127.0).clamp_min(f64::from(f32::MIN_POSITIVE));
            (table / &scale).round() * scale
        }
    }
}

fn is_table(name: &str) -> bool {
    format!(".{name}").ends_with(".linear.weight") || name.ends_with("embedding.weight")
}

#[test]
fn files_with_smaller_tables_score_as_the_model_with_rounded_tables() {
    let _turn = alone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.pt");
    for needs_history in [false, true] {
        let schema = schema_with(needs_history, Task::Regression);
        // Tables as they are have a test of their own. The 16-bit types differ only in the rounding: each variant has one.
        for (variant, of_16_bits) in
            variants_with(needs_history).zip([Precision::F16, Precision::Bf16].into_iter().cycle())
        {
            for precision in [of_16_bits, Precision::Int8] {
                let (store, model) = variant.build(&schema, 1, Device::Cpu);
                disturb(&store);
                let options = BundleOptions { precision, ..Default::default() };
                Bundle::new(model.as_ref(), &store, &schema, &options).unwrap().save(&file, &[]).unwrap();
                let parameters = CModule::load(&file).unwrap().named_parameters().unwrap();
                let scorer = Scorer::load(&file, Device::Cpu).unwrap();
                let batches = [0, 1, 7, 512].map(|rows| features(&schema, rows));
                round_tables(&store, precision);
                for batch in &batches {
                    let found = scorer.logits(batch).unwrap();
                    let expected = no_grad(|| model.logits(batch, false)).unwrap();
                    assert!(found.allclose(&expected, 1e-6, 1e-6, false), "{variant} {precision} B={}", batch.len());
                }
                for (name, tensor) in parameters {
                    let kind = match precision {
                        _ if !is_table(&name) => Kind::Float,
                        Precision::F16 => Kind::Half,
                        Precision::Bf16 => Kind::BFloat16,
                        Precision::F32 | Precision::Int8 => Kind::Float,
                    };
                    assert_eq!(tensor.kind(), kind, "{variant} {precision} {name}");
                    assert!(precision != Precision::Int8 || !name.ends_with("embedding.weight"), "{variant} {name}");
                }
            }
        }
    }
}

fn round_tables(store: &VarStore, precision: Precision) {
    no_grad(|| {
        for (name, mut tensor) in store.variables() {
            if is_table(&name) {
                let rounded = rounded(&tensor, precision);
                tensor.copy_(&rounded);
            }
        }
    });
}
