//! Every model, in every form that its options give it, against its formula: plain loops over f64 on the parameters that
//! bear the names. In training also with dropout, whose masks are drawn anew from the same seed, in the formula's order.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod formulas_of_interactions;
mod formulas_of_sequences;
#[path = "../src/oracle/mod.rs"]
mod oracle;
mod variants;

use fm_core::Schema;
use fm_core::model::Options;
use fm_models::layers::Dropout;
use formulas_of_interactions::*;
use formulas_of_sequences::*;
use oracle::*;
use serde_json::json;
use tch::{Device, Kind, Tensor};
use variants::{Variant, alone, variants};

/// What a formula is computed from.
struct Scene {
    p: Parameters,
    options: Options,
    schema: Schema,
    rows: Vec<Row>,
    train: bool,
}

/// One logit a row.
type Formula = fn(&Scene) -> Vector;

fn formula(model: &str) -> Formula {
    match model {
        "lr" => lr,
        "fm" | "bayesian_fm" => fm_model,
        "ffm" => ffm_model,
        "nfm" => nfm,
        "afm" => afm,
        "deepfm" => deepfm,
        "xdeepfm" => xdeepfm,
        "dnn" => dnn,
        "wide_deep" => wide_deep,
        "ncf" => ncf,
        "two_tower" => two_tower,
        "dcn" => dcn,
        "dcn_v2" => dcn_v2,
        "autoint" => autoint,
        "destine" => destine,
        "fwfm" => fwfm_model,
        "fmfm" => fmfm_model,
        "pnn" => pnn,
        "fibinet" => fibinet,
        "masknet" => masknet,
        "finalmlp" => finalmlp,
        "gdcn" => gdcn,
        "edcn" => edcn,
        "afn" => afn,
        "hofm" => hofm,
        "dlrm" => dlrm,
        "finalnet" => finalnet,
        "wukong" => wukong_model,
        "din" => din,
        "bst" => bst,
        "sasrec" => sasrec,
        "ensemble" => ensemble,
        _ => panic!("write down the formula of {model} here"),
    }
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s
fn lr(scene: &Scene) -> Vector {
    add([scene.bias(), scene.first_order()])
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + Σ_{s<t} ⟨v_{id_s}, v_{id_t}⟩ x_s x_t
fn fm_model(scene: &Scene) -> Vector {
    let pairs = scene.slots("embedding").iter().map(fm).collect();
    add([scene.bias(), scene.first_order(), pairs])
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + Σ_{s<t} ⟨v_{id_s, f_t}, v_{id_t, f_s}⟩ x_s x_t, or Σ_{f<g} ⟨Σ_s v_{id_s, f} x_s, Σ_s v_{id_s, g} x_s⟩
fn ffm_model(scene: &Scene) -> Vector {
    let pairs = |slots: &Matrix| match scene.text("form") {
        "summed" => summed_ffm(scene.schema.num_fields(), slots),
        _ => ffm(&scene.schema, slots),
    };
    add([scene.bias(), scene.first_order(), scene.slots("embedding").iter().map(pairs).collect()])
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + ⟨h, DNN(dropout(batch_norm(Σ_{s<t} e_s ⊙ e_t)))⟩
fn nfm(scene: &Scene) -> Vector {
    let pooled = |slots: &Matrix| sum(&pairs(slots), slots[0].len());
    let pooled = scene.slots("embedding").iter().map(pooled).collect();
    let pooled = scene.dropped(scene.normed("batch_norm", pooled, "batch_norm"), "pooling_dropout");
    let deep = scene.output("output", &scene.dnn(pooled));
    if scene.flag("linear") { add([scene.bias(), scene.first_order(), deep]) } else { add([scene.bias(), deep]) }
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + ⟨p, Σ_{f<g} a_{f,g} (e_f ⊙ e_g)⟩
fn afm(scene: &Scene) -> Vector {
    let k = scene.size("embedding_dim");
    let all_pairs = scene.fields("embedding").iter().map(|fields| pairs(fields).concat()).collect();
    let pooled = scene.dropped(all_pairs, "dropout").into_iter().map(|row| {
        let pairs: Matrix = row.chunks(k).map(<[f64]>::to_vec).collect();
        let weights = match scene.text("pooling") {
            "attention" => attention(&scene.p, "attention", &pairs, scene.flag("attention_bias")),
            "mean" => vec![1.0 / pairs.len() as f64; pairs.len()],
            "sum" => vec![1.0; pairs.len()],
            _ => return (0..k).map(|d| pairs.iter().map(|pair| pair[d]).fold(f64::NEG_INFINITY, f64::max)).collect(),
        };
        (0..k).map(|d| (0..pairs.len()).map(|p| weights[p] * pairs[p][d]).sum()).collect()
    });
    let second_order = scene.output("output", &pooled.collect());
    match scene.flag("linear") {
        true => add([scene.bias(), scene.first_order(), second_order]),
        false => add([scene.bias(), second_order]),
    }
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + Σ_{f<g} ⟨e_f, e_g⟩ + ⟨h, DNN([e_1; ...; e_F])⟩, or the form on dense features.
fn deepfm(scene: &Scene) -> Vector {
    if scene.text("form") == "dense-features" {
        return dense_features_deepfm(scene);
    }
    let fields = scene.fields("embedding");
    let deep = scene.output("output", &scene.dnn(flat(&fields)));
    add([scene.bias(), scene.first_order(), fields.iter().map(fm).collect(), deep])
}

/// ŷ = ⟨a, [Σ_{f,d} e_{f,d} + b; Σ_{f<g} ⟨e_f, e_g⟩; DNN([e_1; ...; e_F; x_1; ...; x_N])]⟩ + c
fn dense_features_deepfm(scene: &Scene) -> Vector {
    let (vectors, numbers) = (scene.sparse_fields(), scene.numbers());
    let inputs = vectors.iter().zip(numbers).map(|(fields, numbers)| [fields.concat(), numbers].concat()).collect();
    let b = scene.p.vector("first_order_bias")[0];
    let parts = vectors.iter().zip(scene.dnn(inputs)).map(|(fields, deep)| {
        let first_order = fields.iter().flatten().sum::<f64>() + b;
        [vec![first_order, fm(fields)], deep].concat()
    });
    parts.flat_map(|parts| dense(&scene.p, "output", &parts, true)).collect()
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + ⟨c, CIN([e_1; ...; e_F])⟩ + ⟨h, DNN([e_1; ...; e_F])⟩
fn xdeepfm(scene: &Scene) -> Vector {
    let fields = scene.fields("embedding");
    let (split, act) = (scene.flag("cin_split"), activation(scene.text("cin_activation")));
    let explicit = fields.iter().map(|fields| cin(&scene.p, "cin", fields, split, act)).collect();
    let implicit = scene.dnn(flat(&fields));
    let output = |path: &str, part: Matrix| -> Vector {
        part.iter().flat_map(|x| dense(&scene.p, path, x, scene.flag("part_biases"))).collect()
    };
    add([scene.bias(), scene.first_order(), output("cin_output", explicit), output("output", implicit)])
}

/// ŷ = w₀ + ⟨h, DNN([e_1; ...; e_F])⟩
fn dnn(scene: &Scene) -> Vector {
    add([scene.bias(), scene.output("output", &scene.dnn(flat(&scene.fields("embedding"))))])
}

/// ŷ = w₀ + Σ_s w_{id_s} x_s + ⟨h, DNN([e_1; ...; e_F])⟩
fn wide_deep(scene: &Scene) -> Vector {
    add([dnn(scene), scene.first_order()])
}

/// ŷ = w₀ + ⟨h, [p_u ⊙ q_i; DNN([p'_u; q'_i])]⟩
fn ncf(scene: &Scene) -> Vector {
    let sides = |table: &str| -> Vec<[Vector; 2]> {
        scene.slots(table).iter().map(|slots| side_vectors(&scene.schema, slots)).collect()
    };
    let mut parts: Matrix = vec![vec![]; scene.rows.len()];
    if scene.text("form") != "mlp" {
        let products = sides("gmf_embedding").into_iter().map(|[user, item]| product(&user, &item));
        parts.iter_mut().zip(products).for_each(|(row, part)| row.extend(part));
    }
    if scene.text("form") != "gmf" {
        let deep = scene.dnn(sides("mlp_embedding").iter().map(|sides| sides.concat()).collect());
        parts.iter_mut().zip(deep).for_each(|(row, part)| row.extend(part));
    }
    add([scene.bias(), scene.output("output", &parts)])
}

/// ŷ = w₀ + (1/M) Σ_m ŷ_m
fn ensemble(scene: &Scene) -> Vector {
    let entry = fm_models::find("ensemble").unwrap();
    let members = Variant { entry, options: scene.options.clone() }.members();
    let logits = members.iter().enumerate().map(|(number, member)| {
        let part = Scene {
            p: scene.p.of_part(&format!("member_{number}")),
            options: member.entry.resolve(&member.options).unwrap(),
            schema: scene.schema.clone(),
            rows: scene.rows.clone(),
            train: scene.train,
        };
        formula(member.entry.name)(&part)
    });
    let sum = sum(&logits.collect::<Vec<_>>(), scene.rows.len());
    add([scene.bias(), sum.iter().map(|logit| logit / members.len() as f64).collect()])
}

/// ŷ = w₀ + ⟨u, v⟩ / τ with u = W DNN([e_f of the user and the context]) + b and v the same of the item, divided by their
/// lengths.
fn two_tower(scene: &Scene) -> Vector {
    let field_of_slots = scene.schema.field_of_slots();
    let of_item: Vec<usize> = scene.schema.item_slots().map(|slot| field_of_slots[slot]).collect();
    let tower = |name: &str, is_of: &dyn Fn(usize) -> bool| -> Matrix {
        let of_row =
            |fields: &Matrix| (0..fields.len()).filter(|&f| is_of(f)).flat_map(|f| fields[f].clone()).collect();
        let input: Matrix = scene.fields("embedding").iter().map(of_row).collect();
        let hidden = scene.dnn_of_layers(&format!("{name}.dnn"), scene.length("hidden_units"), input);
        let output = hidden.iter().map(|hidden| dense(&scene.p, &format!("{name}.output"), hidden, true));
        let scaled = |x: Vector| match scene.flag("normalize") {
            true => x.iter().map(|e| e / x.iter().map(|e| e * e).sum::<f64>().sqrt()).collect(),
            false => x,
        };
        output.map(scaled).collect()
    };
    let users = tower("user", &|field| !of_item.contains(&field));
    let items = tower("item", &|field| of_item.contains(&field));
    let temperature = scene.options["temperature"].as_f64().unwrap();
    let cosines = users.iter().zip(&items).map(|(u, v)| product(u, v).iter().sum::<f64>() / temperature);
    add([scene.bias(), cosines.collect()])
}

impl Scene {
    fn text(&self, option: &str) -> &str {
        self.options[option].as_str().unwrap()
    }

    fn flag(&self, option: &str) -> bool {
        self.options[option].as_bool().unwrap()
    }

    fn size(&self, option: &str) -> usize {
        self.options[option].as_u64().unwrap() as usize
    }

    /// The number of elements of an option.
    fn length(&self, option: &str) -> usize {
        self.options[option].as_array().unwrap().len()
    }

    fn bias(&self) -> Vector {
        vec![self.p.vector("bias")[0]; self.rows.len()]
    }

    fn first_order(&self) -> Vector {
        let weights = self.p.matrix("linear.weight");
        self.rows.iter().map(|row| first_order(&weights, row)).collect()
    }

    /// The scaled vectors of the slots of each row.
    fn slots(&self, table: &str) -> Vec<Matrix> {
        let table = self.p.matrix(&format!("{table}.weight"));
        self.rows.iter().map(|row| slot_vectors(&table, row)).collect()
    }

    /// The vectors of the fields of each row.
    fn fields(&self, table: &str) -> Vec<Matrix> {
        self.slots(table).iter().map(|slots| field_vectors(&self.schema, slots)).collect()
    }

    /// The vectors of the fields of each row that are not numeric.
    fn sparse_fields(&self) -> Vec<Matrix> {
        let table = self.p.matrix("embedding.weight");
        self.rows.iter().map(|row| sparse_field_vectors(&self.schema, &table, row)).collect()
    }

    /// The numbers of the numeric fields of each row.
    fn numbers(&self) -> Matrix {
        self.rows.iter().map(|row| numbers_of(&self.schema, row)).collect()
    }

    /// A dense layer of one output and without a bias.
    fn output(&self, path: &str, x: &Matrix) -> Vector {
        x.iter().flat_map(|x| dense(&self.p, path, x, false)).collect()
    }

    fn normed(&self, path: &str, x: Matrix, option: &str) -> Matrix {
        match self.text(option) {
            "standard" => batch_norm(&self.p, path, &x, self.train),
            "always-batch" => batch_norm(&self.p, path, &x, true),
            "frozen" => batch_norm(&self.p, path, &x, false),
            _ => x,
        }
    }

    /// The normalisation of hidden layer l under a path.
    fn hidden_norm(&self, path: &str, l: usize, x: Matrix) -> Matrix {
        if self.options["hidden_layer_norm"] == true {
            let of_row = |x| layer_norm(&self.p, &format!("{path}.layer_norm_{l}"), &vec![x]);
            return x.into_iter().flat_map(of_row).collect();
        }
        self.normed(&format!("{path}.batch_norm_{l}"), x, "hidden_batch_norm")
    }

    /// As [`Scene::normed`], for the elements of several vectors in each row.
    fn normed_vectors(&self, path: &str, x: Vec<Matrix>, option: &str) -> Vec<Matrix> {
        let k = x[0][0].len();
        let rows = self.normed(path, flat(&x), option);
        rows.iter().map(|row| row.chunks(k).map(<[f64]>::to_vec).collect()).collect()
    }

    fn dropped(&self, x: Matrix, option: &str) -> Matrix {
        if !self.train {
            return x;
        }
        let ones = Tensor::ones([x.len() as i64, x[0].len() as i64], (Kind::Float, Device::Cpu));
        let dropout = Dropout::new("the formula", option, self.options[option].as_f64().unwrap()).unwrap();
        let mask = numbers(&dropout.forward(ones, true).unwrap());
        x.iter().zip(mask.chunks(x[0].len())).map(|(x, mask)| product(x, mask)).collect()
    }

    /// The hidden layers under `dnn`.
    fn dnn(&self, x: Matrix) -> Matrix {
        self.dnn_of_layers("dnn", self.length("hidden_units"), x)
    }

    /// The hidden layers under a path.
    fn dnn_of_layers(&self, path: &str, layers: usize, mut x: Matrix) -> Matrix {
        for l in 0..layers {
            x = x.iter().map(|x| dense(&self.p, &format!("{path}.linear_{l}"), x, true)).collect();
            x = self.hidden_norm(path, l, x);
            x.iter_mut().flatten().for_each(|x| *x = activation(self.text("activation"))(*x));
            x = self.dropped(x, "dropout");
        }
        x
    }
}

fn flat(fields: &[Matrix]) -> Matrix {
    fields.iter().map(|fields| fields.concat()).collect()
}

fn add<const N: usize>(parts: [Vector; N]) -> Vector {
    sum(&parts, parts[0].len())
}

/// The variants, so small that sums stay exact.
fn small_variants() -> impl Iterator<Item = Variant> {
    variants().map(|variant| {
        let options = variant.entry.resolve(&variant.options).unwrap();
        // The members of an ensemble have two layers.
        let default = 2 * usize::from(options.contains_key("members"));
        let layers = |option: &str| options.get(option).map_or(default, |units| units.as_array().unwrap().len());
        variant
            .with("embedding_dim", 3)
            .with("hidden_units", vec![4; layers("hidden_units")])
            .with("logarithmic_neurons", 3)
            .with("deep_hidden_units", vec![4; layers("deep_hidden_units")])
            .with("attention_dim", 2)
            .with("cin_size", vec![4, 2, 3])
            .with("cross_layers", 2)
            .with("cross_rank", 2)
            .with("attention_layers", 2)
            .with("head_dim", 2)
            .with("parallel_blocks", 2)
            .with("parallel_units", 3)
            .with("second_hidden_units", vec![4, 2])
            .with("gate_units", 3)
            .with("bottom_units", vec![2])
            .with("fmb_vectors", 2)
            .with("lcb_vectors", 2)
            .with("fmb_rank", 2)
            .with("fmb_units", vec![3])
            .with("attention_units", vec![3, 2])
            .with("transformer_heads", 3)
            .with("transformer_units", 4)
            .with("tower_dim", 3)
    })
}

/// Two to six fields, of which the first is categorical.
fn any_schema(draw: &mut Draw, needs_history: bool) -> Schema {
    let others = 1 + draw.below(5);
    schema_with(needs_history, &[vec![1], (0..others).map(|_| draw.below(4)).collect()].concat())
}

fn assert_equals_its_formula(variant: &Variant, seed: u64, train: bool) {
    let mut draw = Draw(seed);
    let schema = any_schema(&mut draw, variant.entry.needs_history);
    let (store, model) = variant.build(&schema, 1, Device::Cpu);
    let p = Parameters::draw(&store, &mut draw);
    let rows = draw.rows(&schema, 4);
    let options = variant.entry.resolve(&variant.options).unwrap();
    let scene = Scene { p, options, schema, rows, train };
    tch::manual_seed(seed as i64);
    // First, because training moves the statistics of batch norm.
    let expected = formula(variant.entry.name)(&scene);
    for features in both_forms(&scene.schema, &scene.rows) {
        tch::manual_seed(seed as i64);
        let found = model.logits(&features, train).unwrap();
        assert_close(&found, &expected, &format!("the score by {variant} with seed {seed}, train {train},"));
    }
}

#[test]
fn every_model_equals_its_formula() {
    let _turn = alone();
    for variant in small_variants() {
        for seed in 0..40 {
            assert_equals_its_formula(&variant, seed, false);
        }
    }
}

#[test]
fn every_model_equals_its_formula_in_training_with_dropout() {
    let _turn = alone();
    for variant in small_variants() {
        for seed in 0..40 {
            assert_equals_its_formula(&variant, seed, true);
        }
    }
}

/// λ ‖W‖² of the attention's matrix, and of no other model's parameters.
#[test]
fn the_penalty_is_that_of_afms_attention_alone() {
    let _turn = alone();
    for variant in small_variants() {
        let schema = schema_with(variant.entry.needs_history, &[1, 3]);
        for attention_l2 in [0.0, 0.05] {
            let variant = Variant { entry: variant.entry, options: variant.options.clone() };
            let variant = variant.with("attention_l2", attention_l2);
            let (store, model) = variant.build(&schema, 1, Device::Cpu);
            let p = Parameters::draw(&store, &mut Draw(5));
            if attention_l2 > 0.0 && p.has("attention.hidden.weight") {
                let matrix = p.vector("attention.hidden.weight");
                assert_close(&model.penalty().unwrap(), &[attention_l2 * dot(&matrix, &matrix)], "the penalty");
            } else {
                assert!(model.penalty().is_none(), "{variant}");
            }
        }
    }
}

#[test]
fn without_options_each_model_has_the_form_of_its_paper() {
    for (model, form) in [
        ("ffm", json!({ "form": "field-aware" })),
        ("nfm", json!({ "batch_norm": "standard", "linear": true, "activation": "relu", "hidden_batch_norm": "off" })),
        ("afm", json!({ "pooling": "attention", "attention_bias": false, "linear": true })),
        ("deepfm", json!({ "form": "paper", "activation": "relu", "hidden_batch_norm": "off" })),
        ("xdeepfm", json!({ "cin_split": false, "cin_activation": "linear", "part_biases": false })),
        ("ncf", json!({ "form": "neumf", "activation": "relu" })),
        ("two_tower", json!({ "normalize": true, "activation": "relu" })),
        ("dcn", json!({ "cross_layers": 6 })),
        ("dcn_v2", json!({ "structure": "stacked", "cross": "matrix" })),
        ("autoint", json!({ "attention_layers": 3, "heads": 2, "head_dim": 32, "hidden_units": [] })),
        ("destine", json!({ "attention_layers": 3, "heads": 2, "hidden_units": [], "residual": "last-layer" })),
        ("fwfm", json!({ "first_order": "fields" })),
        ("fmfm", json!({ "first_order": "fields" })),
        ("pnn", json!({ "product": "inner" })),
        ("fibinet", json!({ "senet_reduction": 3 })),
        ("masknet", json!({ "blocks": "serial", "mask_reduction": 2 })),
        ("finalmlp", json!({ "gates": "learned" })),
        ("gdcn", json!({ "structure": "stacked" })),
        ("edcn", json!({ "bridge": "product", "gate_temperature": 1.0, "activation": "relu" })),
        ("afn", json!({ "log_batch_norm": "standard", "deep_hidden_units": [] })),
        ("hofm", json!({ "order": 3 })),
        ("din", json!({ "attention_activation": "dice" })),
        ("bst", json!({ "transformer_blocks": 1, "transformer_heads": 8 })),
        ("sasrec", json!({ "transformer_blocks": 2, "transformer_heads": 1 })),
    ] {
        let defaults = fm_models::find(model).unwrap().resolve(&Options::new()).unwrap();
        for (option, value) in form.as_object().unwrap() {
            assert_eq!(&defaults[option], value, "{model} {option}");
        }
    }
}

#[test]
fn dropout_depends_on_the_seed_in_training_alone_and_a_rate_of_zero_is_none() {
    let _turn = alone();
    let mut draw = Draw(3);
    let mut rates = 0;
    for variant in small_variants() {
        let schema = schema_with(variant.entry.needs_history, &[1, 1, 3, 0]);
        let rows = draw.rows(&schema, 8);
        let options = variant.entry.resolve(&variant.options).unwrap();
        let has_layers = options.get("hidden_units").is_none_or(|units| !units.as_array().unwrap().is_empty());
        let has_dnn = has_layers && options.get("form").is_none_or(|form| form != "gmf");
        for dropped in ["dropout", "pooling_dropout"].into_iter().filter(|option| options.contains_key(*option)) {
            for rate in [0.0, 0.5] {
                let variant = Variant { entry: variant.entry, options: variant.options.clone() };
                let variant = variant.with("dropout", 0.0).with("pooling_dropout", 0.0).with(dropped, rate);
                let (store, model) = variant.build(&schema, 1, Device::Cpu);
                Parameters::draw(&store, &mut Draw(4));
                let score = |seed: i64, train: bool| {
                    tch::manual_seed(seed);
                    numbers(&model.logits(&features(&schema, &rows), train).unwrap())
                };
                let drops = rate > 0.0 && (dropped == "pooling_dropout" || has_dnn);
                assert_eq!(score(1, true) != score(2, true), drops, "{variant}");
                assert_eq!(score(1, false), score(2, false), "{variant}");
                rates += usize::from(drops);
            }
        }
    }
    assert!(rates > 20);
}
