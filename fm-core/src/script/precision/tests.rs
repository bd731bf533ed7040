use std::collections::BTreeMap;
use std::path::Path;

use tch::{CModule, Device, Kind, Tensor, no_grad};

use super::Precision::{self, Bf16, F16, F32, Int8};
use crate::atomic_file::replace_atomically;
use crate::bridge::TracedModule;
use crate::error::Result;

const ALL: [Precision; 4] = [F32, F16, Bf16, Int8];

/// The rows of `table` as read back from a file.
fn restored(table: &Tensor, precision: Precision) -> Result<Tensor> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lookup.pt");
    let parameters = [("a.b.weight".to_owned(), table.shallow_clone())];
    let two = Tensor::from_slice(&[0i64, 0]).view([2, 1]);
    let mut look_up = |inputs: &[Tensor]| Ok(Tensor::f_embedding(table, &inputs[0], -1, false, false)?);
    let mut module = TracedModule::new("fm.Lookup", &parameters)?;
    no_grad(|| module.trace("forward", &[("ids", &two)], &mut look_up))?;
    module.store_tables(precision)?;
    replace_atomically(&file, |temporary| module.save(temporary, &[]))?;
    Ok(CModule::load(&file)?.forward_ts(&[Tensor::arange(table.size()[0], (Kind::Int64, Device::Cpu))])?)
}

/// Rows of all magnitudes, one of them of zeros.
fn table_up_to(largest: f32) -> Tensor {
    tch::manual_seed(3);
    let rows = Tensor::randn([200, 16], (Kind::Float, Device::Cpu)).clamp(-4.0, 4.0);
    let sizes: Vec<f32> = (0..200).map(|row| largest / 4.0 * 10f32.powf(row as f32 / -3.0)).collect();
    let _ = rows.get(7).zero_();
    rows * Tensor::from_slice(&sizes).view([200, 1])
}

#[test]
fn stored_numbers_are_within_the_documented_bound() {
    for (precision, largest) in [(F32, 3e38), (F16, 65504.0), (Bf16, 3e38), (Int8, 3e38)] {
        let table = table_up_to(largest);
        let found: Vec<f64> = Vec::try_from(restored(&table, precision).unwrap().view(-1)).unwrap();
        let expected: Vec<f64> = Vec::try_from(table.view(-1)).unwrap();
        for (found, expected) in found.chunks(16).zip(expected.chunks(16)) {
            let row = expected.iter().fold(0f64, |largest, x| largest.max(x.abs()));
            for (found, x) in found.iter().zip(expected) {
                let bound = match precision {
                    F32 => 0.0,
                    F16 => (x.abs() / 2048.0).max(2f64.powi(-25)),
                    Bf16 => (x.abs() / 256.0).max(2f64.powi(-134)),
                    Int8 => (row / 254.0 * 1.00002).max(2f64.powi(-127)),
                };
                assert!((found - x).abs() <= bound, "{precision}: {x:e} was read as {found:e}");
                assert!(*x != 0.0 || *found == 0.0, "{precision}: zero was read as {found:e}");
            }
        }
    }
}

#[test]
fn a_number_out_of_range_is_an_error_that_names_the_table() {
    let error = |number: f32, precision| {
        let table = Tensor::from_slice(&[0.5f32, 1.0, number, 2.0]).view([2, 2]);
        restored(&table, precision).unwrap_err().to_string()
    };
    assert_eq!(
        error(-70000.0, F16),
        "tables cannot be stored as f16: `a.b.weight` contains -70000, which is out of its range: choose \
         another precision"
    );
    for (number, precision) in [(f32::NAN, Int8), (f32::INFINITY, Bf16), (f32::MAX, Bf16), (f32::MAX, Int8)] {
        assert!(error(number, precision).contains("`a.b.weight` contains"));
    }
}

const ROWS: i64 = 4000;
const K: i64 = 6;
const S: i64 = 3;

fn parameters() -> BTreeMap<String, Tensor> {
    tch::manual_seed(5);
    let tables = [("deep.fm.embedding.weight", K), ("ffm.weight", S * K), ("linear.weight", 1), ("tied.weight", K)];
    let tables = tables.map(|(name, k)| (name, Tensor::randn([ROWS, k], (Kind::Float, Device::Cpu)) * 0.3));
    let bias = ("bias", Tensor::ones([1], (Kind::Float, Device::Cpu)));
    tables.into_iter().chain([bias]).map(|(name, tensor)| (name.to_owned(), tensor.set_requires_grad(true))).collect()
}

/// A formula that looks one table up twice, reshapes the rows of another, and also uses the `tied` one as a whole.
fn score(parameters: &BTreeMap<String, Tensor>, ids: &Tensor, values: &Tensor) -> Result<Tensor> {
    let rows = |name: &str, ids: &Tensor| Tensor::f_embedding(&parameters[name], ids, -1, false, false);
    let vectors = rows("deep.fm.embedding.weight", ids)? * values.unsqueeze(-1);
    let reversed = rows("deep.fm.embedding.weight", &ids.flip([1]))?;
    let crossed = rows("ffm.weight", ids)?.reshape([-1, S, S, K]);
    let pairs = (&crossed * crossed.transpose(1, 2)).sum_dim_intlist(&[2i64, 3][..], false, Kind::Float);
    let tied = rows("tied.weight", ids)? * parameters["tied.weight"].square().mean(Kind::Float);
    let first_order = rows("linear.weight", ids)?.squeeze_dim(-1) * values;
    let second_order = (vectors * reversed + tied).sum_dim_intlist(-1, false, Kind::Float);
    Ok((first_order + second_order + pairs).sum_dim_intlist(1, false, Kind::Float) + &parameters["bias"])
}

fn batch(rows: i64) -> [Tensor; 2] {
    tch::manual_seed(9);
    let ids = Tensor::randint(ROWS, [rows, S], (Kind::Int64, Device::Cpu));
    [ids, Tensor::randn([rows, S], (Kind::Float, Device::Cpu))]
}

fn export(file: &Path, parameters: &BTreeMap<String, Tensor>, precision: Precision) {
    let named: Vec<(String, Tensor)> =
        parameters.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
    let [ids, values] = batch(2);
    let mut forward = |inputs: &[Tensor]| score(parameters, &inputs[0], &inputs[1]);
    let inputs = [("ids", &ids), ("values", &values)];
    let mut module = TracedModule::new("fm.Machine", &named).unwrap();
    no_grad(|| module.trace("forward", &inputs, &mut forward)).unwrap();
    module.store_tables(precision).unwrap();
    replace_atomically(file, |temporary| module.save(temporary, &[])).unwrap();
}

/// The number type of a stored table of the machine.
fn stored_as(name: &str, precision: Precision) -> Precision {
    match (name, precision) {
        ("bias" | "tied.weight", _) | ("linear.weight", Int8) => F32,
        _ => precision,
    }
}

/// A tensor as a file stores it, computed by hand.
fn rounded(tensor: &Tensor, precision: Precision) -> Tensor {
    let through = |kind| tensor.detach().to_kind(kind).to_kind(Kind::Float);
    match precision {
        F32 => tensor.detach(),
        F16 => through(Kind::Half),
        Bf16 => through(Kind::BFloat16),
        Int8 => {
            let numbers: Vec<f32> = Vec::try_from(tensor.detach().view(-1)).unwrap();
            let rows = numbers.chunks(tensor.size()[1] as usize).flat_map(|row| {
                let scale = row.iter().fold(0f32, |largest, x| largest.max(x.abs())) / 127.0;
                row.iter().map(move |x| (x / scale).round_ties_even() * scale)
            });
            Tensor::from_slice(&rows.collect::<Vec<f32>>()).view_as(tensor)
        }
    }
}

#[test]
fn the_file_computes_the_formula_over_rounded_tables_and_so_does_a_saved_copy() {
    let folder = tempfile::tempdir().unwrap();
    let (file, again) = (folder.path().join("model.pt"), folder.path().join("again.pt"));
    let parameters = parameters();
    for precision in ALL {
        export(&file, &parameters, precision);
        CModule::load(&file).unwrap().save(&again).unwrap();
        let rounded = parameters
            .iter()
            .map(|(name, tensor)| (name.clone(), rounded(tensor, stored_as(name, precision))))
            .collect();
        for path in [&file, &again] {
            let module = CModule::load(path).unwrap();
            for rows in [0, 1, 2, 7, 500] {
                let [ids, values] = batch(rows);
                let expected = score(&rounded, &ids, &values).unwrap();
                let found = no_grad(|| module.forward_ts(&[ids, values])).unwrap();
                assert!(found.equal(&expected), "{precision} B={rows}");
            }
        }
    }
}

#[test]
fn remaining_parameters_get_gradients_and_the_models_own_tables_are_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.pt");
    let parameters = parameters();
    for precision in ALL {
        export(&file, &parameters, precision);
        assert!(parameters.values().all(|tensor| tensor.kind() == Kind::Float));
        let module = CModule::load(&file).unwrap();
        let [ids, values] = batch(7);
        module.forward_ts(&[ids, values]).unwrap().mean(Kind::Float).backward();
        let found: BTreeMap<String, Tensor> = module.named_parameters().unwrap().into_iter().collect();
        for name in parameters.keys() {
            let kind = match stored_as(name, precision) {
                F32 => Kind::Float,
                F16 => Kind::Half,
                Bf16 => Kind::BFloat16,
                Int8 => {
                    assert!(!found.contains_key(name), "{name} is a parameter");
                    continue;
                }
            };
            let gradient = found[name].grad();
            assert_eq!((found[name].kind(), gradient.kind()), (kind, kind), "{precision} {name}");
            assert!(gradient.abs().max().double_value(&[]) > 0.0, "{precision} {name}");
        }
    }
}

#[test]
fn the_file_has_the_documented_size() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.pt");
    let parameters = parameters();
    for precision in ALL {
        export(&file, &parameters, precision);
        let bytes = parameters.iter().map(|(name, tensor)| match stored_as(name, precision) {
            F32 => 4 * tensor.numel() as u64,
            F16 | Bf16 => 2 * tensor.numel() as u64,
            Int8 => tensor.numel() as u64 + 4 * ROWS as u64,
        });
        let (found, numbers) = (file.metadata().unwrap().len(), bytes.sum::<u64>());
        assert!((numbers..numbers + 20_000).contains(&found), "{precision}: {found} bytes for {numbers}");
    }
}

#[test]
fn a_precision_is_parsed_as_it_is_displayed() {
    for precision in ALL {
        assert_eq!(precision.to_string().parse::<Precision>().unwrap(), precision);
        assert_eq!(serde_json::to_value(precision).unwrap(), precision.to_string());
    }
    assert_eq!(Precision::default(), F32);
    let error = "int4".parse::<Precision>().unwrap_err().to_string();
    assert_eq!(error, "unknown precision `int4`; did you mean `int8`? known: f32, f16, bf16, int8");
}
