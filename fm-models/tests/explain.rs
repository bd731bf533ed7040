//! The parts of a logit against plain loops over f64, on the parameters that bear the names.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../src/oracle/mod.rs"]
mod oracle;
mod rows;
mod variants;

use fm_core::explain::{InteractionOptions, InteractionReport, Parts, pairs as numbered, parts, shapley};
use fm_core::model::Options;
use fm_core::{FieldKind, Model, Padded, Schema, Side, Task, TensorRows};
use oracle::*;
use serde_json::json;
use tch::{Device, Kind, Tensor, no_grad};
use variants::{Variant, alone, variants, variants_with};

/// A row, and what its terms are computed from.
struct Scene<'a> {
    p: &'a Parameters,
    schema: &'a Schema,
    row: &'a Row,
    /// The weights of the pairs of fields, which AFM computes from all of them.
    weights: Vec<Matrix>,
}

impl Scene<'_> {
    fn field(&self, slot: usize) -> usize {
        self.schema.field_of_slots()[slot]
    }

    /// x_s v_{id_s} of a slot.
    fn vector(&self, table: &str, slot: usize) -> Vector {
        slot_vectors(&self.p.matrix(&format!("{table}.weight")), self.row)[slot].clone()
    }

    /// The row of the table of the fields that are not numeric, times x; zeros for a numeric slot.
    fn sparse_vector(&self, slot: usize) -> Vector {
        let (table, (id, x)) = (self.p.matrix("embedding.weight"), self.row[slot]);
        let is_numeric = |field: usize| matches!(self.schema.fields()[field].kind, FieldKind::Numeric { .. });
        if is_numeric(self.field(slot)) {
            return vec![0.0; table[0].len()];
        }
        let before = (0..self.field(slot)).filter(|&field| is_numeric(field)).map(|field| self.schema.ids(field));
        let numeric_ids: i64 = before.map(|ids| ids.end - ids.start).sum();
        table[id - numeric_ids as usize].iter().map(|v| v * x).collect()
    }
}

/// What two slots, the first before the second, add to the logit; nothing for a model without such terms.
fn pair_term(variant: &Variant, scene: &Scene<'_>, s: usize, t: usize) -> Option<f64> {
    let option = |name: &str| variant.options.get(name).and_then(|value| value.as_str()).unwrap_or_default();
    let product = |table: &str| product(&scene.vector(table, s), &scene.vector(table, t));
    let (f, g) = (scene.field(s), scene.field(t));
    let k = 3;
    Some(match (variant.entry.name, option("form")) {
        ("fm" | "bayesian_fm", _) => product("embedding").iter().sum(),
        ("ffm", "summed") => {
            let (e, other) = (scene.vector("embedding", s), scene.vector("embedding", t));
            let part = |vector: &Vector, field: usize| vector[field * k..][..k].to_vec();
            let both = |(f, g)| dot(&part(&e, f), &part(&other, g)) + dot(&part(&other, f), &part(&e, g));
            numbered(scene.schema.num_fields()).map(both).sum()
        }
        ("ffm", _) => dot(&scene.vector("embedding", s)[g * k..][..k], &scene.vector("embedding", t)[f * k..][..k]),
        ("afm" | "deepfm" | "hofm", _) if f == g => 0.0,
        ("afm", _) => {
            let p = scene.p.matrix("output.weight").concat();
            (0..k).map(|d| p[d] * scene.weights[f][g][d] * product("embedding")[d]).sum()
        }
        ("deepfm", "dense-features") => {
            scene.p.matrix("output.weight")[0][1] * dot(&scene.sparse_vector(s), &scene.sparse_vector(t))
        }
        ("deepfm", _) => product("embedding").iter().sum(),
        ("fwfm" | "fmfm", _) if f == g => 0.0,
        ("fwfm", _) => scene.p.matrix("interaction.weight")[f][g] * product("embedding").iter().sum::<f64>(),
        ("fmfm", _) => {
            let (fields, vector) = (scene.schema.num_fields(), |slot| scene.vector("embedding", slot));
            by_field_matrix(scene.p, "interaction", fields, [f, g], &vector(s), &vector(t))
        }
        ("hofm", _) => product("order_2.embedding").iter().sum(),
        ("ncf", "mlp") => return None,
        ("ncf", _) => {
            let is_item = |field: usize| scene.schema.fields()[field].side == Side::Item;
            let h = &scene.p.matrix("output.weight")[0][..k];
            if is_item(f) == is_item(g) { 0.0 } else { dot(h, &product("gmf_embedding")) }
        }
        _ => return None,
    })
}

/// What a slot adds by itself.
fn own_term(variant: &Variant, scene: &Scene<'_>, s: usize) -> Option<f64> {
    let (id, x) = scene.row[s];
    let form = variant.options.get("form").and_then(|form| form.as_str());
    if (variant.entry.name, form) == ("deepfm", Some("dense-features")) {
        return Some(scene.p.matrix("output.weight")[0][0] * scene.sparse_vector(s).iter().sum::<f64>());
    }
    if scene.p.has("linear_of_fields.weight") {
        let vector = scene.vector("embedding", s);
        let weights = &scene.p.matrix("linear_of_fields.weight")[0];
        return Some(dot(&weights[scene.field(s) * vector.len()..][..vector.len()], &vector));
    }
    let weight = scene.p.has("linear.weight").then(|| scene.p.matrix("linear.weight")[id][0] * x)?;
    if (variant.entry.name, form) == ("ffm", Some("summed")) {
        let e: Matrix = scene.vector("embedding", s).chunks(3).map(<[f64]>::to_vec).collect();
        return Some(weight + fm(&e));
    }
    Some(weight)
}

/// The weight of each component of each pair of fields: a_{f,g} of the attention, 1/P, 1, or whether it is the greatest.
fn weights(variant: &Variant, p: &Parameters, schema: &Schema, row: &Row) -> Vec<Matrix> {
    let fields = field_vectors(schema, &slot_vectors(&p.matrix("embedding.weight"), row));
    let products = pairs(&fields);
    let of_pairs: Matrix = match variant.options.get("pooling").and_then(|pooling| pooling.as_str()) {
        Some("mean") => vec![vec![1.0 / products.len() as f64; 3]; products.len()],
        Some("sum") => vec![vec![1.0; 3]; products.len()],
        Some("max") => {
            let greatest = |d: usize| products.iter().map(|pair| pair[d]).fold(f64::NEG_INFINITY, f64::max);
            let first = |d: usize| products.iter().position(|pair| pair[d] == greatest(d)).unwrap();
            (0..products.len()).map(|p| (0..3).map(|d| f64::from(u8::from(first(d) == p))).collect()).collect()
        }
        _ => {
            let has_bias = variant.options.contains_key("attention_bias");
            attention(p, "attention", &products, has_bias).into_iter().map(|a| vec![a; 3]).collect()
        }
    };
    let mut matrix = vec![vec![vec![0.0; 3]; schema.num_fields()]; schema.num_fields()];
    numbered(schema.num_fields()).zip(of_pairs).for_each(|((f, g), weights)| matrix[f][g] = weights);
    matrix
}

fn small_variants() -> impl Iterator<Item = Variant> {
    variants().map(|variant| variant.with("embedding_dim", 3).with("transformer_heads", 3).with("attention_dim", 2))
}

#[track_caller]
fn assert_terms(found: &Option<Vec<f32>>, expected: Option<Vector>, of: &str) {
    assert_eq!(found.is_some(), expected.is_some(), "{of}");
    if let (Some(found), Some(expected)) = (found, expected) {
        assert_close(&Tensor::from_slice(found), &expected, of);
    }
}

#[test]
fn the_terms_of_slots_and_of_pairs_are_those_of_the_formula() {
    let _turn = alone();
    let mut told_apart = 0;
    // The terms of an ensemble are means of its members' terms: see below.
    for variant in small_variants().filter(|variant| variant.entry.name != "ensemble") {
        for (seed, slots) in [(1, vec![1, 1]), (2, vec![1, 3, 0, 2]), (3, vec![2, 1, 0, 0, 3, 1]), (4, vec![3, 3])] {
            let (schema, mut draw) = (schema_with(variant.entry.needs_history, &slots), Draw(seed));
            let (store, model) = variant.build(&schema, 1, Device::Cpu);
            let p = Parameters::draw(&store, &mut draw);
            let rows = draw.rows(&schema, 3);
            for (row, parts) in rows.iter().zip(parts(model.as_ref(), &features(&schema, &rows)).unwrap()) {
                let is_afm = variant.entry.name == "afm";
                let weights = if is_afm { weights(&variant, &p, &schema, row) } else { vec![] };
                let scene = Scene { p: &p, schema: &schema, row, weights };
                let pairs = numbered(row.len()).map(|(s, t)| pair_term(&variant, &scene, s, t));
                let own = (0..row.len()).map(|s| own_term(&variant, &scene, s));
                assert_terms(&parts.pairs, pairs.collect(), &format!("{variant}, pairs, {slots:?}"));
                assert_terms(&parts.first_order, own.collect(), &format!("{variant}, slots, {slots:?}"));
                if let Some(attention) = &parts.attention {
                    let expected = numbered(slots.len()).map(|(f, g)| scene.weights[f][g][0]);
                    assert_close(&Tensor::from_slice(attention), &expected.collect::<Vector>(), "the attention");
                }
                assert_eq!(parts.attention.is_some(), p.has("attention.hidden.weight"), "{variant}");
                told_apart += usize::from(parts.is_exact());
            }
        }
    }
    // LR, FM, Bayesian FM, FFM in both forms, AFM in all five, GMF, FwFM and FmFM in both forms, and HOFM of order
    // 2: 16 forms, of 4 schemas and 3 rows each.
    assert_eq!(told_apart, 16 * 4 * 3);
}

#[test]
fn the_terms_of_an_ensemble_are_the_means_of_its_members() {
    let _turn = alone();
    let schema = rows::schema(Task::Regression);
    let members = json!([{ "name": "deepfm", "options": {} }, { "name": "lr", "options": {} }]);
    let options = Options::from_iter([("members".to_owned(), members)]);
    let ensemble = Variant { entry: fm_models::find("ensemble").unwrap(), options };
    let (store, model) = ensemble.build(&schema, 1, Device::Cpu);
    Parameters::draw(&store, &mut Draw(1));
    let parts_of = |model: &dyn Model| parts(model, &rows::features(&schema, 1)).unwrap().remove(0);
    let found = parts_of(model.as_ref());
    let [deepfm, lr] = [0, 1].map(|number| {
        let (member, model) = ensemble.members()[number].build(&schema, 1, Device::Cpu);
        let all = store.variables();
        let mut own = member.variables();
        own.iter_mut().for_each(|(name, own)| no_grad(|| own.copy_(&all[&format!("member_{number}.{name}")])));
        parts_of(model.as_ref())
    });
    let half = |x: &f32| 0.5 * f64::from(*x);
    let close = |found: &[f32], expected: Vec<f64>| {
        assert_close(&Tensor::from_slice(found), &expected, "the terms of an ensemble");
    };
    close(found.pairs.as_ref().unwrap(), deepfm.pairs.as_ref().unwrap().iter().map(half).collect());
    let both = deepfm.first_order.as_ref().unwrap().iter().zip(lr.first_order.as_ref().unwrap());
    close(found.first_order.as_ref().unwrap(), both.map(|(a, b)| half(a) + half(b)).collect());
    close(&[found.lumps[0].1], vec![half(&deepfm.lumps[0].1)]);
    assert_eq!(found.lumps.len(), 1);
}

#[test]
fn what_no_formula_splits_bears_its_name() {
    let _turn = alone();
    for (model, options, expected) in [
        ("nfm", json!({}), vec!["deep part over all pairs"]),
        ("deepfm", json!({}), vec!["deep part"]),
        ("xdeepfm", json!({}), vec!["CIN", "deep part"]),
        ("dnn", json!({}), vec!["deep part"]),
        ("wide_deep", json!({}), vec!["deep part"]),
        ("ncf", json!({}), vec!["deep part"]),
        ("ncf", json!({ "form": "gmf" }), vec![]),
        ("two_tower", json!({}), vec!["two towers"]),
        ("afm", json!({}), vec![]),
        ("dcn", json!({}), vec!["cross network", "deep part"]),
        ("dcn_v2", json!({}), vec!["deep part over crosses"]),
        ("autoint", json!({}), vec!["attention"]),
        ("autoint", json!({ "hidden_units": [4] }), vec!["attention", "deep part"]),
        ("destine", json!({}), vec!["attention"]),
        ("destine", json!({ "hidden_units": [4] }), vec!["attention", "deep part"]),
        ("fwfm", json!({}), vec![]),
        ("fmfm", json!({}), vec![]),
        ("pnn", json!({}), vec!["deep part over products"]),
        ("fibinet", json!({}), vec!["deep part over pairs"]),
        ("masknet", json!({}), vec!["deep part with masks"]),
        ("finalmlp", json!({}), vec!["two deep parts"]),
        ("gdcn", json!({}), vec!["deep part over crosses"]),
        ("edcn", json!({}), vec!["cross and deep network"]),
        ("afn", json!({}), vec!["deep part over powers"]),
        ("afn", json!({ "deep_hidden_units": [4] }), vec!["deep part over powers", "deep part"]),
        ("hofm", json!({}), vec!["third order"]),
        ("hofm", json!({ "order": 5 }), vec!["third order", "fourth order", "fifth order"]),
        ("dlrm", json!({}), vec!["deep part over products"]),
        ("finalnet", json!({}), vec!["factorized layers"]),
        ("wukong", json!({}), vec!["stacked machines"]),
        ("din", json!({}), vec!["deep part"]),
        ("bst", json!({}), vec!["deep part"]),
        ("sasrec", json!({}), vec!["history and item"]),
        ("ensemble", json!({}), vec!["deep part"]),
    ] {
        let options: Options = serde_json::from_value(options).unwrap();
        let variant = Variant { entry: fm_models::find(model).unwrap(), options };
        let schema = rows::schema_with(variant.entry.needs_history, Task::Regression);
        let (_store, model) = variant.build(&schema, 1, Device::Cpu);
        let Parts { lumps, .. } = &parts(model.as_ref(), &rows::features(&schema, 1)).unwrap()[0];
        assert_eq!(lumps.iter().map(|(name, _)| *name).collect::<Vec<_>>(), expected, "{variant}");
    }
}

/// Of a sum over single slots and pairs, the Shapley value of a field against missing values is its own terms and half of its
/// pairs', each without what the missing values have.
#[test]
fn the_shapley_values_of_fm_are_its_terms_and_half_of_its_pairs() {
    let _turn = alone();
    let schema = schema(&[1, 1, 1]);
    let fm = fm_models::find("fm").unwrap();
    let (store, model) = Variant { entry: fm, options: Options::new() }.build(&schema, 1, Device::Cpu);
    // Values that are missing have no weight and no vector, as after training that has never seen one.
    Parameters::draw(&store, &mut Draw(1));
    let unknown = Tensor::from_slice(schema.unknown_ids());
    no_grad(|| {
        for (name, table) in store.variables() {
            if name.ends_with("weight") {
                let _ = table.shallow_clone().index_fill_(0, &unknown, 0.0);
            }
        }
    });
    let row = features(&schema, &[vec![(1, 1.0), (6, 1.0), (10, 1.0)]]);
    let found = shapley(&schema, &row, |features| model.logits(features, false)).unwrap();
    let Parts { bias, first_order, pairs, .. } = parts(model.as_ref(), &row).unwrap().remove(0);
    let (w, p) = (first_order.unwrap(), pairs.unwrap()); // pairs 01, 02, 12
    let expected = [w[0] + (p[0] + p[1]) / 2.0, w[1] + (p[0] + p[2]) / 2.0, w[2] + (p[1] + p[2]) / 2.0];
    assert_close(&Tensor::from_slice(&found.values), &expected.map(f64::from), "the Shapley values");
    assert!((found.baseline - f64::from(bias)).abs() < 1e-6);
}

#[test]
fn the_shapley_values_of_every_model_add_up() {
    let _turn = alone();
    for needs_history in [false, true] {
        let schema = rows::schema_with(needs_history, Task::Regression);
        for variant in variants_with(needs_history).filter(|variant| !variant.scores_by_batch()) {
            let (store, model) = variant.build(&schema, 1, Device::Cpu);
            rows::disturb(&store);
            // All values of this row are there.
            let row = rows::features(&schema, 12);
            let row = row.padded().unwrap().narrow(11..12).into();
            let found = shapley(&schema, &row, |features| model.logits(features, false)).unwrap();
            let logit = no_grad(|| model.logits(&row, false)).unwrap().double_value(&[0]);
            let total = found.baseline + found.values.iter().sum::<f64>();
            assert!((total - logit).abs() < 1e-5 * logit.abs().max(1.0), "{variant}: {total}, not {logit}");
            let fields = schema.num_fields();
            assert_eq!((found.values.len(), found.rows), (fields, 1 << fields), "{variant}");
        }
    }
}

#[test]
fn interactions_are_found_of_the_models_with_pair_terms_alone_and_afm_shows_its_attention() {
    let _turn = alone();
    for needs_history in [false, true] {
        let schema = rows::schema_with(needs_history, Task::Regression);
        let Padded { ids, values, .. } = rows::features(&schema, 40).padded().unwrap();
        let set = TensorRows::new(&schema, ids, values, Tensor::zeros([40], (Kind::Float, Device::Cpu))).unwrap();
        for variant in variants_with(needs_history) {
            let (store, model) = variant.build(&schema, 1, Device::Cpu);
            rows::disturb(&store);
            let over = |options: InteractionOptions| {
                InteractionReport::over(model.as_ref(), &schema, &set, Device::Cpu, &options).unwrap()
            };
            // Without main effects, and as the formula has the terms.
            let pure = over(InteractionOptions { min_rows: 2, ..Default::default() });
            let found = over(InteractionOptions { min_rows: 2, references: 0, ..Default::default() });
            let of_row = &parts(model.as_ref(), &rows::features(&schema, 1)).unwrap()[0];
            assert_eq!(found.is_some(), of_row.pairs.is_some(), "{variant}");
            let (Some(found), Some(pure)) = (found, pure) else { continue };
            for found in [&found, &pure] {
                let shares: f64 = found.shares.iter().map(|(_, share)| share).sum();
                assert!(
                    (shares - 1.0).abs() < 1e-6 && found.rows == 40 && !found.values.is_empty(),
                    "{variant} {found:?}"
                );
            }
            assert!(pure.fields[0][2].is_finite() && pure.fields[0][2] != found.fields[0][2], "{variant}");
            // Field by field as one sums up the pairs of slots by hand.
            let of_slots = schema.field_of_slots();
            let mut expected = 0.0;
            for parts in parts(model.as_ref(), &rows::features(&schema, 40)).unwrap() {
                let terms = numbered(of_slots.len()).zip(parts.pairs.unwrap());
                let between = terms.filter(|((s, t), _)| (of_slots[*s], of_slots[*t]) == (0, 2));
                expected += between.map(|(_, term)| f64::from(term)).sum::<f64>().abs() / 40.0;
            }
            assert!((found.fields[0][2] - expected).abs() < 1e-6, "{variant}: {} not {expected}", found.fields[0][2]);
            if let Some(attention) = &found.attention {
                assert_eq!(variant.entry.name, "afm");
                let total: f64 = numbered(schema.num_fields()).map(|(f, g)| attention[f][g]).sum();
                assert!((total - 1.0).abs() < 1e-5, "the weights of the pairs add up to {total}");
            }
        }
    }
}
