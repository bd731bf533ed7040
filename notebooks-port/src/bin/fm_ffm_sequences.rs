//! The notebook "FM and FFM" on sequences, section by section.
//!
//! Run it with `cargo run --release -p notebooks-port --bin fm_ffm_sequences`.
#![allow(clippy::print_stdout, reason = "a notebook shows its results")]

use anyhow::{Result, ensure};
use fm_core::{Encoder, Features, Field, FieldKind, Label, List, Model, Padded, Schema, Side, Task, Weighting};
use fm_models::layers::{Embedding, EmbeddingConfig, Ffm, FfmForm, Fm, FmInteraction, bias};
use notebooks_port::{
    begin, dot, draw_weights, embedding_column, ensure_equal, markdown, pairs, parameter, rows_of, seed, set_parameter,
    set_vectors, show,
};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor, no_grad};

/// The positions of the fields.
const SEQ: usize = 0;
const TARGET: usize = 1;

/// The wide weights that the notebook prints, for all values in its three rows.
const WIDE_SEQ: [(&str, [f32; 1]); 4] =
    [("1100", [-1.1060104]), ("1101", [0.03242132]), ("1102", [0.08936337]), ("1103", [0.2437939])];
const WIDE_TARGET: [(&str, [f32; 1]); 3] = [("1100", [1.2739147]), ("1102", [-0.95335877]), ("1103", [-0.07035454])];

/// The latent vectors that the notebook prints in full. Its output is truncated in the second row.
#[rustfmt::skip]
const DEEP_SEQ: [(&str, [f32; 8]); 4] = [
    ("1100", [-0.49116445, -0.35251305, 0.61282074, 0.10146669, -0.2509978, 0.5082938, -0.21420632, 0.7027508]),
    ("1101", [0.04026853, -0.392949, -0.19187245, -0.43497851, 0.09481965, 0.21987827, -0.07222807, -0.47726765]),
    ("1102", [0.4117159, 0.15799785, -0.11382999, 0.35348448, -0.04937907, -0.14734195, 0.26430064, -0.17084403]),
    ("1103", [-0.6324771, 0.16274336, 0.03654434, -0.06902962, -0.5372363, -0.05480513, -0.43927777, -0.09249779]),
];
#[rustfmt::skip]
const DEEP_TARGET: [(&str, [f32; 8]); 1] = [
    ("1102", [-0.10923516, -0.41276297, -0.21383002, 0.46652472, 0.38668025, -0.539819, 0.07658985, 0.0994366]),
];

fn main() -> Result<()> {
    no_grad(notebook) // nothing is trained here
}

fn notebook() -> Result<()> {
    begin("fm_ffm_sequences", "FM and FFM");
    let (schema, features) = preparation()?;
    let store = VarStore::new(Device::Cpu);
    let (w0, wide_out) = wide_part(&schema, &features, &store)?;
    let fm_output = deep_part(&schema, &features, &store, &w0, &wide_out)?;
    as_a_registered_model(&schema, &features, &store, &fm_output)?;
    repeated_value(&schema, &store)?;
    ffm(&schema, &features)
}

fn preparation() -> Result<(Schema, Features)> {
    markdown(
        r#"
        ## 0. Preparation

        There are two fields: `seq`, the films that a user watched, and `target`, the film that is recommended. Values
        are hashed into 10 buckets with TensorFlow's hash function. Every sequence has as many slots as the longest
        one. An unused slot has the value $x = 0$.
        "#,
    );
    let hashed = |name: &str, kind| {
        let field = Field::new(name, kind, Side::Context, Vec::new());
        Field { hash_buckets: Some(10), ..field }
    };
    let sequence = FieldKind::MultiValued(List::new("|", 3, Weighting::Sum));
    let label = Label::fit("y", Task::Regression, [0.0, 1.0]);
    let schema = Schema::new(label, vec![hashed("seq", sequence), hashed("target", FieldKind::Categorical)])?;

    let rows = [["1100|1101|1103", "1102"], ["1102|1101", "1103"], ["1100|1103", "1100"]];
    let features = Encoder::new(&schema).features(&rows.map(|row| row.map(Some)))?;
    println!("| seq | target |\n|---|---|");
    for [seq, target] in rows {
        println!("| {} | {target} |", seq.replace('|', " "));
    }
    println!();

    let buckets = rows_of(&schema, SEQ, &["1100", "1101", "1102", "1103"])?;
    ensure!(buckets == [1, 6, 10, 9], "TensorFlow hashes 1100 to 1103 into the buckets 0, 5, 9 and 8");
    markdown(
        r#"
        1100, 1101, 1102 and 1103 fall into the buckets 0, 5, 9 and 8. All fields share one table. The first row of
        each field is for missing values, so the buckets of `seq` are the rows 1 to 10 and those of `target` the rows
        12 to 21.
        "#,
    );
    let Padded { ids, values, .. } = features.padded()?;
    show(&[("ids", &ids), ("values", &values)]);
    Ok((schema, features))
}

/// w₀ `[1]` and the sum of the slots' weights `[3, 1]`.
fn wide_part(schema: &Schema, features: &Features, store: &VarStore) -> Result<(Tensor, Tensor)> {
    markdown(
        r#"
        ## 1. The wide part

        $$w_0 + \sum_s w_{id_s} x_s$$

        The weights are embeddings of dimension 1, with one table per field. The values below are those that the
        notebook prints. Their sum equals the notebook's.
        "#,
    );
    let w0 = bias(&store.root());
    let config = EmbeddingConfig { embedding_dim: 1, init_std: 1.0 };
    let wide_input_layer = Embedding::new(store.root() / "wide", schema, &config)?;
    let table = parameter(store, "wide.weight")?;
    set_vectors(&table, schema, SEQ, &WIDE_SEQ)?;
    set_vectors(&table, schema, TARGET, &WIDE_TARGET)?;

    let wide_emb = wide_input_layer.slots(features, false)?; // [3, 4, 1]
    let wide_out = wide_emb.sum_dim_intlist(1, false, Kind::Float); // [3, 1]
    show(&[
        ("w0", &w0),
        ("seq_embedding", &wide_emb.narrow(1, 0, 3)),
        ("target_embedding", &wide_emb.narrow(1, 3, 1)),
        ("wide_out", &wide_out),
        ("wide_out + w0", &(&wide_out + &w0)),
    ]);
    ensure_equal("wide_out", &wide_out, &Tensor::from_slice(&[-1.783154f32, 0.05143017, 0.41169816]).view([3, 1]))?;
    Ok((w0, wide_out))
}

/// The score `[3, 1]`.
fn deep_part(schema: &Schema, features: &Features, store: &VarStore, w0: &Tensor, wide_out: &Tensor) -> Result<Tensor> {
    markdown(
        r#"
        ## 2. The deep part

        $$\sum_{s<t} \langle v_{id_s}, v_{id_t} \rangle x_s x_t =
        \frac{1}{2} \sum_f \left[ \left( \sum_s v_{id_s,f} x_s \right)^2 - \sum_s v_{id_s,f}^2 x_s^2 \right]$$

        The vectors of both fields are concatenated, and padding is a vector of zeros: 3 rows, 4 slots, 8 dimensions.
        The notebook prints all vectors of its first row, and they are used here. The others are random: normal with
        standard deviation $1/\sqrt{8}$, truncated at two standard deviations.
        "#,
    );
    seed(0);
    let config = EmbeddingConfig { embedding_dim: 8, init_std: 1.0 };
    let sequence_feature_layer = Embedding::new(store.root() / "deep", schema, &config)?;
    set_parameter(store, "deep.weight", &embedding_column(schema.num_ids(), 8))?;
    let table = parameter(store, "deep.weight")?;
    set_vectors(&table, schema, SEQ, &DEEP_SEQ)?;
    set_vectors(&table, schema, TARGET, &DEEP_TARGET)?;

    let feature_emb = sequence_feature_layer.slots(features, false)?; // [3, 4, 8]
    show(&[("feature_emb", &feature_emb)]);
    ensure!(feature_emb.size() == [3, 4, 8]);

    let square_sum = feature_emb.sum_dim_intlist(1, true, Kind::Float).square(); // [3, 1, 8]
    let sum_square = feature_emb.square().sum_dim_intlist(1, true, Kind::Float); // [3, 1, 8]
    let order_2nd = (&square_sum - &sum_square).sum_dim_intlist(2, false, Kind::Float) * 0.5; // [3, 1]
    let fm_output = w0 + wide_out + &order_2nd; // [3, 1]
    show(&[
        ("square_sum", &square_sum),
        ("sum_square", &sum_square),
        ("order_2nd", &order_2nd),
        ("fm_output", &fm_output),
    ]);

    // Equal to the double sum over pairs of slots, and to the layer of this library.
    let slot = |s: usize| feature_emb.select(1, s as i64);
    let naive: Tensor = pairs(4).map(|(s, t)| dot(&slot(s), &slot(t))).sum();
    ensure_equal("the double sum", &order_2nd.squeeze_dim(1), &naive)?;
    ensure_equal("FmInteraction", &FmInteraction.forward(&feature_emb)?, &naive)?;
    markdown("The first row equals the notebook's: -0.5244 and -2.3076.");
    let first_row = Tensor::cat(&[order_2nd.get(0), fm_output.get(0)], 0);
    ensure_equal("the first row", &first_row, &Tensor::from_slice(&[-0.52444935f32, -2.3076034]))?;
    Ok(fm_output)
}

/// The layer [`Fm`] of the model `fm`, with the same weights.
fn as_a_registered_model(schema: &Schema, features: &Features, notebook: &VarStore, fm_output: &Tensor) -> Result<()> {
    let store = VarStore::new(Device::Cpu);
    let fm = Fm::new(&store.root(), schema, &EmbeddingConfig { embedding_dim: 8, init_std: 1.0 })?;
    set_parameter(&store, "linear.weight", &parameter(notebook, "wide.weight")?)?;
    set_parameter(&store, "embedding.weight", &parameter(notebook, "deep.weight")?)?;
    let logits = fm.logits(features, false)?;
    markdown("The model `fm` with these weights returns the same numbers, one per row and without a sigmoid:");
    show(&[("logits", &logits)]);
    ensure_equal("the model fm", &logits, &fm_output.squeeze_dim(1))
}

fn repeated_value(schema: &Schema, store: &VarStore) -> Result<()> {
    markdown(
        r#"
        The pairs are pairs of slots. In the notebook, a value that occurs twice in a sequence takes two slots, and
        interacts with itself: the sequence 1100 1100 gives $\lVert v_{1100} \rVert^2$. In the formula of an FM, it is
        one feature with $x = 2$. The encoder of this library creates a single slot. It has no partner here, so the
        result is 0.
        "#,
    );
    let table = parameter(store, "deep.weight")?;
    let row_of_1100 = rows_of(schema, SEQ, &["1100"])?[0];
    let order_2nd = |ids: &Tensor, values: &Tensor| -> Result<Tensor> {
        let slots = table.index_select(0, ids) * values.unsqueeze(1);
        Ok(FmInteraction.forward(&slots.unsqueeze(0))?)
    };
    let two_slots = order_2nd(&Tensor::from_slice(&[row_of_1100; 2]), &Tensor::from_slice(&[1f32; 2]))?;
    let twice = Encoder::new(schema).features(&[["1100|1100", "1102"].map(Some)])?.padded()?;
    let (ids, values) = (twice.ids.get(0).narrow(0, 0, 3), twice.values.get(0).narrow(0, 0, 3)); // of seq
    let one_slot = order_2nd(&ids, &values)?;
    show(&[("order_2nd of two slots", &two_slots), ("ids", &ids), ("values", &values), ("order_2nd", &one_slot)]);
    let v_1100 = Tensor::from_slice(&DEEP_SEQ[0].1);
    ensure_equal("two slots", &two_slots, &dot(&v_1100, &v_1100).view([1]))?;
    ensure_equal("one slot", &one_slot, &Tensor::from_slice(&[0f32]))
}

fn ffm(schema: &Schema, features: &Features) -> Result<()> {
    markdown(
        r#"
        ## 3. FFM

        The notebook describes FFM in three lines: an FM within a field, other latent vectors across fields, and thus
        one embedding per field that a value can meet. With $f_s$ the field of slot $s$:

        $$\sum_{s<t} \langle v_{id_s, f_t}, v_{id_t, f_s} \rangle x_s x_t$$

        Here, every id has two vectors: one for partners in `seq` and one for partners in `target`.
        "#,
    );
    seed(1);
    let store = VarStore::new(Device::Cpu);
    let config = EmbeddingConfig { embedding_dim: 8, init_std: 1.0 };
    let ffm = Ffm::new(&store.root(), schema, &config, FfmForm::FieldAware)?;
    draw_weights(&store);
    let vectors = ffm.embedding.slots(features, false)?.view([3, 4, 2, 8]);
    show(&[("vectors of the first row", &vectors.get(0))]);

    let field_of = schema.field_of_slots(); // [0, 0, 0, 1]
    let vector = |s: usize, field: usize| vectors.select(1, s as i64).select(1, field as i64);
    let pair = |(s, t): (usize, usize)| dot(&vector(s, field_of[t]), &vector(t, field_of[s]));
    let is_inside = |&(s, t): &(usize, usize)| field_of[s] == field_of[t];
    let inside: Tensor = pairs(4).filter(is_inside).map(pair).sum();
    let across: Tensor = pairs(4).filter(|pair| !is_inside(pair)).map(pair).sum();

    // 1. Within a field: an FM of the vectors of `seq` for itself.
    let own = vectors.narrow(1, 0, 3).select(2, SEQ as i64);
    ensure_equal("inside seq", &FmInteraction.forward(&own)?, &inside)?;
    // 2. Across fields: the sum of the vectors of seq for target, times the vector of target for seq.
    let for_target = vectors.narrow(1, 0, 3).select(2, TARGET as i64).sum_dim_intlist(1, false, Kind::Float);
    ensure_equal("across fields", &dot(&for_target, &vector(3, SEQ)), &across)?;

    let first_order = ffm.linear.forward(features, false)? + &ffm.bias;
    let logits = ffm.logits(features, false)?;
    show(&[
        ("first order", &first_order),
        ("pairs inside seq", &inside),
        ("pairs of seq and target", &across),
        ("ffm_output", &logits),
    ]);
    markdown("The layer `Ffm` takes time linear in the number of slots, and equals the double sum.");
    ensure_equal("the layer Ffm", &logits, &(first_order + inside + across))
}
