//! Rows without padding score as padded ones, and give the same gradients: the two forms of a lookup, below every model.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod device;
mod rows;
mod variants;

use std::collections::BTreeMap;

use device::under_test as device;
use fm_core::Task;
use fm_core::optim::RowGradients;
use rows::{disturb, features, schema_with};
use tch::{Device, Kind, Tensor};
use variants::{alone, variants_with};

#[test]
fn rows_score_and_give_gradients_alike_padded_and_ragged() {
    let _turn = alone();
    for needs_history in [false, true] {
        let schema = schema_with(needs_history, Task::Regression);
        let padded = features(&schema, 64).to_device(device());
        let ragged = padded.ragged(&schema.layout()).unwrap().into();
        let forms = [padded, ragged];
        for variant in
            variants_with(needs_history).map(|variant| variant.with("dropout", 0.0).with("pooling_dropout", 0.0))
        {
            for train in [false, true] {
                let [(padded, of_padded), (ragged, of_ragged)] = [0, 1].map(|form| {
                    let (store, model) = variant.build(&schema, 1, device());
                    disturb(&store);
                    let logits = model.logits(&forms[form], train).unwrap();
                    logits.square().mean(Kind::Float).backward();
                    let gradient = |(name, tensor): (String, Tensor)| (name, tensor.grad().to_dense(None, false));
                    let trained = store.variables().into_iter().filter(|(_, tensor)| tensor.requires_grad());
                    (logits, trained.map(gradient).collect::<BTreeMap<_, _>>())
                });
                assert!(ragged.allclose(&padded, 1e-5, 1e-5, false), "{variant}, train {train}");
                for (name, expected) in of_padded {
                    assert!(of_ragged[&name].allclose(&expected, 1e-4, 1e-5, false), "{variant} {name}, train {train}");
                }
            }
        }
    }
}

/// Those that the optimiser takes instead of autograd's.
#[test]
fn collected_gradients_of_tables_are_those_of_autograd() {
    let _turn = alone();
    for needs_history in [false, true] {
        let schema = schema_with(needs_history, Task::Regression);
        for variant in
            variants_with(needs_history).map(|variant| variant.with("dropout", 0.0).with("pooling_dropout", 0.0))
        {
            let gradients = |collects: bool| {
                let (store, model) = variant.build(&schema, 1, Device::Cpu);
                disturb(&store);
                let mut rows = features(&schema, 64).ragged(&schema.layout()).unwrap();
                let collected = RowGradients::default();
                if collects {
                    rows.collect_into(collected.clone());
                }
                model.logits(&rows.into(), true).unwrap().square().mean(Kind::Float).backward();
                let tables = store.variables().into_iter().filter(|(name, _)| name.ends_with("embedding.weight"));
                let dense = |(_, table): (String, Tensor)| match collected.get(&table) {
                    None => table.grad().to_dense(None, false),
                    Some(gradient) => {
                        assert!(collects && !table.grad().defined());
                        let gradient = gradient.lock().unwrap();
                        let rows: Vec<i64> = gradient.rows().iter().map(|&row| i64::from(row)).collect();
                        let sums = Tensor::from_slice(gradient.sums()).view([-1, table.size()[1]]);
                        table.zeros_like().index_add(0, &Tensor::from_slice(&rows), &sums)
                    }
                };
                let by_name: BTreeMap<String, Tensor> = tables.collect();
                by_name.into_iter().map(dense).collect::<Vec<Tensor>>()
            };
            for (found, expected) in gradients(true).iter().zip(gradients(false)) {
                assert!(found.allclose(&expected, 1e-5, 1e-6, false), "{variant}");
            }
        }
    }
}
