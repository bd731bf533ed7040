//! An ONNX file means the same to onnxruntime as the model means to libtorch.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what was compared, or why nothing was")]

mod formulas_of_operators;
mod rows;
mod variants;

use std::path::Path;
use std::process::Command;

use fm_core::calibration::{Calibrated, Calibration, Rise};
use fm_core::model::Options;
use fm_core::{Model, Padded, Schema, Task, onnx};
use formulas_of_operators::formulas;
use rows::{disturb, features, schema, schema_with, with_history};
use tch::nn::VarStore;
use tch::{Device, Tensor, no_grad};
use variants::{alone, variants};

/// A model's file, and rows with its scores.
fn write(folder: &Path, name: &str, tolerance: f64, (model, store): (&dyn Model, &VarStore), schema: &Schema) {
    let folder = folder.join(name);
    std::fs::create_dir(&folder).unwrap();
    disturb(store);
    onnx::export(folder.join("model.onnx"), model, store, schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    for n in [0, 1, 2, 7, 1000] {
        let rows = features(schema, n);
        let logits = no_grad(|| model.logits(&rows, false)).unwrap();
        let Padded { ids, values, .. } = rows.padded().unwrap();
        let arrays = [("ids", ids), ("values", values), ("logits", logits), ("tolerance", Tensor::from(tolerance))];
        Tensor::write_npz(&arrays, folder.join(format!("{n}.npz"))).unwrap();
    }
}

/// `FM_PYTHON` names a Python that has onnx, onnxruntime and numpy.
#[test]
fn onnxruntime_agrees_with_every_model_and_every_operator() {
    let _turn = alone();
    let Some(python) = std::env::var_os("FM_PYTHON") else {
        eprintln!("skipped: FM_PYTHON does not name a Python that has onnx and onnxruntime");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let schema = schema(Task::Regression);
    let mut written = 0;
    let few = Schema::new(schema.label().clone(), schema.fields()[..2].to_vec()).unwrap();
    for (fields, schema) in [("all kinds", &schema), ("categorical", &few)] {
        for variant in variants() {
            let schema = &if variant.entry.needs_history { with_history(schema) } else { schema.clone() };
            let (store, model) = variant.build(schema, 1, Device::Cpu);
            let name = format!("{variant} {fields}").replace('"', "");
            // To divide by the deviation of a batch, or of a vector of small products, is to multiply rounding, by up
            // to 1/√0.001 and 1/√0.00001.
            let tolerance = match variant.entry.name {
                _ if variant.takes_powers() => 1e-4,
                "edcn" => 1e-4,
                "wukong" | "bst" => 1e-5,
                _ if variant.scores_by_batch() => 1e-5,
                _ => 1e-6,
            };
            write(folder.path(), &name, tolerance, (model.as_ref(), &store), schema);
            written += 1;
        }
    }
    let store = VarStore::new(Device::Cpu);
    let fm = fm_models::find("fm").unwrap().build(&Options::new(), &store.root(), &schema).unwrap();
    let rise = |from: f64, to, rise| Rise { from, to, rise };
    let rises = vec![rise(-0.5, -0.25, 0.5), rise(-0.25, 0.125, 0.25), rise(0.5, 2.0, 3.0)];
    let calibrated = Calibrated::new(fm, &Calibration::Isotonic { lowest: -1.5, rises }).unwrap();
    write(folder.path(), "isotonic", 1e-6, (&calibrated, &store), &schema);
    written += 1;
    for (name, build) in formulas() {
        let store = VarStore::new(Device::Cpu);
        let model = build(&store.root(), &schema);
        write(folder.path(), &format!("operator {name}"), 1e-6, (&model, &store), &schema);
        written += 1;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/onnx_parity.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    let compared = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{compared}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(compared.lines().count(), written, "{compared}");
    print!("{compared}");
}

/// What every model's file needs is written without Python, too.
#[test]
fn every_model_can_be_exported() {
    let _turn = alone();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.onnx");
    for variant in variants() {
        let schema = schema_with(variant.entry.needs_history, Task::Binary { threshold: 1.0 });
        let (store, model) = variant.build(&schema, 1, Device::Cpu);
        onnx::export(&file, model.as_ref(), &store, &schema).unwrap_or_else(|error| panic!("{variant}: {error}"));
    }
}
