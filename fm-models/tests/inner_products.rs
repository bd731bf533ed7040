//! The models that are inner products score candidates by the vectors of rows and items alone.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[allow(dead_code, reason = "other tests use the rest")]
mod rows;
mod variants;

use fm_core::ranking::ItemSlots;
use fm_core::script::{Bundle, BundleOptions, Precision, Scorer};
use fm_core::{Schema, Task};
use rows::{disturb, features, schema, with_history};
use tch::{Device, Tensor, no_grad};
use variants::{alone, variants_with};

/// All kinds of fields, and only the ids of user and item.
fn schemas() -> Vec<Schema> {
    let whole = schema(Task::Regression);
    let ids = Schema::new(whole.label().clone(), whole.fields()[..2].to_vec()).unwrap();
    vec![whole, ids]
}

#[test]
fn inner_products_with_the_vectors_of_items_are_the_logits_minus_a_constant() {
    let _turn = alone();
    let mut found = vec![];
    for (schema, needs_history) in schemas().into_iter().flat_map(|schema| [(schema.clone(), false), (schema, true)]) {
        let schema = if needs_history { with_history(&schema) } else { schema };
        let all_items = features(&schema, 9);
        let items = ItemSlots::new(&schema, &all_items).unwrap();
        let rows = features(&schema, 16);
        let everything: Vec<i64> = (0..16).flat_map(|_| 0..9).collect();
        let candidates = items.candidates(&rows, &Tensor::from_slice(&everything).view([16, 9])).unwrap();
        for variant in variants_with(needs_history) {
            let (store, model) = variant.build(&schema, 1, Device::Cpu);
            let Some(halves) = model.inner_product() else { continue };
            disturb(&store);
            let _no_gradients = tch::no_grad_guard();
            let of_rows = halves.of_rows(&items.without_items(&rows).unwrap(), false).unwrap();
            let of_items = halves.of_items(&items.features(), false).unwrap();
            let (queries, index) = (of_rows.of_query(&of_items), of_items.of_index());
            assert_eq!((queries.size()[0], index.size()[0]), (16, 9), "{variant}");
            let mut logits = queries.matmul(&index.transpose(0, 1));
            if let Some(own) = &of_rows.own {
                logits += own.unsqueeze(1);
            }
            let expected = no_grad(|| model.logits(&candidates.features().unwrap(), false)).unwrap().view([16, 9]);
            assert!(logits.allclose(&expected, 1e-5, 1e-5, false), "{variant}");
            found.push(variant.to_string());
        }
    }
    let of = |name: &str| found.iter().filter(|variant| variant.starts_with(&format!("{name} "))).count();
    for name in ["lr", "fm", "bayesian_fm", "ffm", "fwfm", "fmfm", "hofm", "ncf", "two_tower", "sasrec"] {
        assert!(of(name) >= 2, "{name}: {found:?}");
    }
    assert_eq!((of("deepfm"), of("dnn")), (0, 0));
    assert_eq!(of("ensemble"), 2, "of fm and lr, for two schemas");
}

#[test]
fn the_vectors_of_an_exported_file_are_those_of_the_model() {
    let _turn = alone();
    let file = tempfile::NamedTempFile::new().unwrap();
    for needs_history in [false, true] {
        let schema = schema(Task::Regression);
        let schema = if needs_history { with_history(&schema) } else { schema };
        let rows = features(&schema, 16);
        let items = ItemSlots::new(&schema, &rows).unwrap();
        for variant in variants_with(needs_history) {
            let (store, model) = variant.build(&schema, 1, Device::Cpu);
            disturb(&store);
            let saved = |precision: Precision| {
                let options = BundleOptions { precision, ..BundleOptions::default() };
                Bundle::new(model.as_ref(), &store, &schema, &options).unwrap().save(file.path(), &[]).unwrap();
                Scorer::load(file.path(), Device::Cpu).unwrap()
            };
            let scorer = saved(Precision::F32);
            let Some(halves) = model.inner_product() else {
                let error = scorer.user_vectors(&rows).unwrap_err().to_string();
                assert!(error.contains("has no vectors: its logit is not an inner product"), "{variant}: {error}");
                continue;
            };
            let _no_gradients = tch::no_grad_guard();
            let of_rows = halves.of_rows(&items.without_items(&rows).unwrap(), false).unwrap();
            let of_items = halves.of_items(&items.features(), false).unwrap();
            let close = |scorer: &Scorer, tolerance: f64| {
                // The file takes the halves apart itself: these rows have both.
                let [users, items] = [scorer.user_vectors(&rows).unwrap(), scorer.item_vectors(&rows).unwrap()];
                users.allclose(&of_rows.of_query(&of_items), tolerance, tolerance, false)
                    && items.allclose(&of_items.of_index(), tolerance, tolerance, false)
            };
            assert!(close(&scorer, 1e-5), "{variant}");
            assert!(close(&saved(Precision::F16), 0.1), "{variant}");
        }
    }
}
