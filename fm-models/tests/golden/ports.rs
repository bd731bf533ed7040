//! For each Keras class of the notebooks, our layers or model in the same form and sizes, and the mapping of Keras's weights to
//! our parameters.

use std::collections::BTreeMap;

use fm_core::farmhash::bucket;
use fm_core::{Features, Field, FieldKind, Label, List, Model, Schema, Side, Task, Weighting};
use fm_models::layers::*;
use fm_models::models::{afm, deepfm, deepfm_dense, nfm, xdeepfm};
use serde_json::json;
use tch::nn::VarStore;
use tch::{Kind, Tensor};

use super::case::{Case, Result};
use super::port::{Layout, Outputs, Port, Weight, batch_norm, dense, hidden, same, tables};

/// Fields of (name, rows of the table, slots) and numeric fields. The first row of each is an ordinary value here.
pub fn schema(fields: &[(String, i64, i64)], numeric: &[&str]) -> Result<Schema> {
    let sparse = fields.iter().map(|(name, cardinality, slots)| {
        let vocabulary = (1..*cardinality).map(|value| value.to_string()).collect();
        let several = FieldKind::MultiValued(List::new("|", *slots as usize, Weighting::Sum));
        let kind = if *slots == 1 { FieldKind::Categorical } else { several };
        Field::new(name, kind, Side::Context, vocabulary)
    });
    let numeric =
        numeric.iter().map(|&name| Field::new(name, FieldKind::Numeric { mean: 0.0, std: 1.0 }, Side::Context, vec![]));
    said(Schema::new(Label::fit("y", Task::Binary { threshold: 1.0 }, [0.0, 1.0]), sparse.chain(numeric).collect()))
}

/// Fields `embed_0`, `embed_1`, ... of one slot, from `config.vocab`.
fn single_fields(case: Case) -> Result<(Schema, Vec<String>)> {
    let vocab = case.part("config")?.integers("vocab")?;
    let names: Vec<String> = (0..vocab.len()).map(|field| format!("embed_{field}")).collect();
    let fields: Vec<_> = names.iter().cloned().zip(vocab).map(|(name, size)| (name, size, 1)).collect();
    Ok((schema(&fields, &[])?, names))
}

/// Slots from ids within their fields: one tensor `[B, slots]` per field, with -1 for padding. With `mean`, the values of a
/// field share the weight 1.
fn features(schema: &Schema, fields: &[Tensor], mean: bool) -> Result<Features> {
    let slots = fields.iter().enumerate().map(|(field, ids)| {
        let there = ids.ge(0).to_kind(Kind::Float);
        let n = there.sum_dim_intlist(1, true, Kind::Float).clamp_min(1.0);
        (ids.clamp_min(0) + schema.ids(field).start, if mean { there / n } else { there })
    });
    let (ids, values): (Vec<_>, Vec<_>) = slots.unzip();
    Features::new(schema, Tensor::cat(&ids, 1), Tensor::cat(&values, 1)).map_err(|error| error.to_string())
}

fn ids(case: Case, schema: &Schema) -> Result<Features> {
    let ids = case.part("inputs")?.part("ids")?.tensor()?;
    features(schema, &ids.split(1, 1), false)
}

fn embedding(embedding_dim: i64) -> EmbeddingConfig {
    EmbeddingConfig { embedding_dim, init_std: 0.05 }
}

fn activation(name: &str) -> Result<Activation> {
    serde_json::from_value(json!(name)).map_err(|_| format!("unknown activation `{name}`"))
}

fn dnn(hidden_units: &[i64], activation: Activation) -> DnnConfig {
    DnnConfig { hidden_units: hidden_units.into(), activation, dropout: 0.0, ..DnnConfig::default() }
}

/// A case with dropout is random and cannot be compared.
fn no_dropout(config: Case, name: &str) -> Result<()> {
    match config.number(name)? {
        0.0 => Ok(()),
        rate => Err(format!("`{name}` is {rate}: only cases without dropout can be compared")),
    }
}

fn outputs<const N: usize>(score: Tensor, named: [(&str, Tensor); N]) -> Outputs {
    let mut named: BTreeMap<String, Tensor> = named.into_iter().map(|(name, t)| (name.to_owned(), t)).collect();
    named.insert("logit".into(), score.shallow_clone());
    Outputs { named, score }
}

fn said<T>(result: fm_core::Result<T>) -> Result<T> {
    result.map_err(|error| error.to_string())
}

/// The counterpart of the case's class.
pub fn port(case: Case) -> Result<Port> {
    match case.text("class")? {
        "FM_Layer" | "FM (Model)" => fm(case),
        "FM_Layer_v2" => fm_over_embeddings(case),
        "FFM_Layer" | "FFM (Model)" => ffm(case, FfmForm::Summed),
        "NFM" => match case.part("config")?.flag("bn_use")? {
            true => nfm(case, BatchNormMode::AlwaysBatch),
            false => nfm(case, BatchNormMode::Frozen),
        },
        "AFM" => match case.part("config")?.text("mode")? {
            "att" => afm(case, Pooling::Attention),
            "avg" => afm(case, Pooling::Mean),
            "max" => afm(case, Pooling::Sum),
            mode => Err(format!("AFM has no mode `{mode}`")),
        },
        "DeepFM" => deepfm(case),
        "CIN" => cin(case),
        "xDeepFM" => xdeepfm(case),
        "notebook cells (SequenceFeatures wide + second order)" => sequence_fm(case),
        "notebook cells (SequenceFeatures NFM)" => sequence_nfm(case),
        "DeepFM (DenseFeatures)" => deepfm_dense(case),
        "FM(units,k) + Dense(1)" => dense_fm(case),
        class => Err(format!("unknown class `{class}`")),
    }
}

fn fm(case: Case) -> Result<Port> {
    let (schema, _) = single_fields(case)?;
    let store = VarStore::new(case.device);
    let fm = said(Fm::new(&store.root(), &schema, &embedding(case.part("config")?.integer("k")?)))?;
    let features = ids(case, &schema)?;
    Ok(Port {
        store,
        weights: vec![same("w0", "bias"), same("w", "linear.weight"), same("V", "embedding.weight")],
        inputs: vec![],
        forward: Box::new(move |train| {
            let vectors = fm.embedding.slots(&features, train)?;
            let first_order = fm.linear.forward(&features, train)? + &fm.bias;
            let second_order = FmInteraction.forward(&vectors)?;
            let named = [("first_order", first_order), ("second_inputs", vectors), ("second_order", second_order)];
            Ok(outputs(fm.logits(&features, train)?, named))
        }),
    })
}

fn fm_over_embeddings(case: Case) -> Result<Port> {
    let config = case.part("config")?;
    let schema = schema(&[("all".into(), config.integer("feature_length")?, config.integer("fields")?)], &[])?;
    let store = VarStore::new(case.device);
    let fm = said(FmOverEmbeddings::new(&store.root(), &schema))?;
    let inputs = case.part("inputs")?;
    let features = features(&schema, &[inputs.part("sparse_inputs")?.tensor()?], false)?;
    let embeddings = inputs.part("embed_inputs")?.tensor()?.set_requires_grad(true);
    Ok(Port {
        store,
        weights: vec![same("w", "linear.weight")],
        inputs: vec![("input.embed_inputs", embeddings.shallow_clone())],
        forward: Box::new(move |train| {
            let first_order = fm.linear.forward(&features, train)?;
            let named = [("first_order", first_order), ("second_order", FmInteraction.forward(&embeddings)?)];
            Ok(outputs(fm.forward(&features, &embeddings, train)?, named))
        }),
    })
}

/// With [`FfmForm::FieldAware`], the textbook formula with the same weights.
pub fn ffm(case: Case, form: FfmForm) -> Result<Port> {
    let (schema, _) = single_fields(case)?;
    let store = VarStore::new(case.device);
    let ffm = said(Ffm::new(&store.root(), &schema, &embedding(case.part("config")?.integer("k")?), form))?;
    let features = ids(case, &schema)?;
    Ok(Port {
        store,
        weights: vec![same("w0", "bias"), same("w", "linear.weight"), same("v", "embedding.weight")],
        inputs: vec![],
        forward: Box::new(move |train| {
            let first_order = ffm.linear.forward(&features, train)? + &ffm.bias;
            let second_order = ffm.second_order(&features, train)?;
            let (summed, _) = ffm.embedding.sum_and_squares(&features, train)?;
            let named = [("first_order", first_order), ("second_order", second_order), ("latent_vector", summed)];
            Ok(outputs(ffm.logits(&features, train)?, named))
        }),
    })
}

/// With [`BatchNormMode::Standard`] or [`BatchNormMode::Off`], the corrected form of the notebook.
pub fn nfm(case: Case, batch_norm: BatchNormMode) -> Result<Port> {
    let (schema, names) = single_fields(case)?;
    let config = case.part("config")?;
    no_dropout(config, "dnn_dropout")?;
    let k = config.integer("embed_dim")?;
    let features = ids(case, &schema)?;
    nfm_over(case, &schema, features, k, batch_norm, tables(&names, &schema, "embedding.weight"), "embed")
}

fn sequence_nfm(case: Case) -> Result<Port> {
    let (schema, features, names) = sequences(case)?;
    let k = case.part("config")?.integer("dimension")?;
    let names: Vec<String> = names.iter().map(|name| format!("deep.{name}")).collect();
    let tables = tables(&names, &schema, "embedding.weight");
    nfm_over(case, &schema, features, k, BatchNormMode::Standard, tables, "x")
}

fn nfm_over(
    case: Case,
    schema: &Schema,
    features: Features,
    k: i64,
    batch_norm_mode: BatchNormMode,
    tables: Vec<Weight>,
    vectors_name: &'static str,
) -> Result<Port> {
    let config = case.part("config")?;
    let units = config.integers("hidden_units")?;
    for (name, kerass) in [("bn_epsilon", 0.001), ("bn_momentum", 0.99)] {
        if config.number(name)? != kerass {
            return Err(format!("config.{name} is not {kerass}, the constant of our batch norm"));
        }
    }
    let config = nfm::Config {
        embedding: embedding(k),
        dnn: dnn(&units, activation(config.text("activation")?)?),
        pooling_dropout: 0.0,
        batch_norm: batch_norm_mode,
        linear: false,
    };
    let store = VarStore::new(case.device);
    let model = said(nfm::Nfm::new(&store.root(), schema, &config))?;
    let mut weights = tables;
    weights.extend(hidden(&units));
    weights.extend(dense("dense", "output", Some("bias")));
    if model.batch_norm.is_some() {
        weights.extend(batch_norm());
    }
    Ok(Port {
        store,
        weights,
        inputs: vec![],
        forward: Box::new(move |train| {
            let logits = model.logits(&features, train)?;
            let vectors = model.embedding.slots(&features, train)?;
            let pooled = BiInteraction.forward(&vectors)?;
            // Not in training, where the statistics would be updated twice.
            let normed = match &model.batch_norm {
                Some(norm) if !train => norm.forward(&pooled, false)?,
                Some(_) => return Ok(outputs(logits, [(vectors_name, vectors), ("bi_interaction", pooled)])),
                None => pooled.shallow_clone(),
            };
            let dnn = &model.tower.dnn;
            let (hidden, hidden_layers) = (dnn.forward(&normed, false)?, dnn.layers(&normed, false)?);
            let named = [(vectors_name, vectors), ("bi_interaction", pooled), ("dnn_out", hidden), ("bn_out", normed)];
            let mut outputs = outputs(logits, named);
            name_layers(&mut outputs, "dnn_h", hidden_layers);
            Ok(outputs)
        }),
    })
}

/// With [`Pooling::Max`], the corrected form of the notebook's `max`.
pub fn afm(case: Case, pooling: Pooling) -> Result<Port> {
    let (schema, names) = single_fields(case)?;
    let config = case.part("config")?;
    no_dropout(config, "dropout")?;
    if activation(config.text("activation")?)? != Activation::Relu {
        return Err("the attention's activation must be relu".into());
    }
    let attention = pooling == Pooling::Attention;
    let config = afm::Config {
        embedding: embedding(config.integer("embed_dim")?),
        pooling,
        attention_dim: if attention { config.integer("att_vector")? } else { 1 },
        attention_l2: 0.0,
        attention_bias: true,
        dropout: 0.0,
        linear: false,
    };
    let store = VarStore::new(case.device);
    let model = said(afm::Afm::new(&store.root(), &schema, &config))?;
    let features = ids(case, &schema)?;
    let mut weights = tables(&names, &schema, "embedding.weight");
    weights.extend(dense("dense", "output", Some("bias")));
    if attention {
        weights.extend(dense("attention_W", "attention.hidden", Some("attention.hidden.bias")));
        weights.extend(dense("attention_dense", "attention.score", Some("attention.score.bias")));
    }
    Ok(Port {
        store,
        weights,
        inputs: vec![],
        forward: Box::new(move |train| {
            let embed = model.embedding.forward(&features, train)?;
            let pairs = model.pairs.forward(&embed)?;
            let pooled = model.pooling.forward(&pairs)?;
            let mut outputs = outputs(model.logits(&features, train)?, [("embed", embed), ("pooled", pooled)]);
            if let PairPooling::Attention(attention) = &model.pooling {
                outputs.named.insert("attention_scores".into(), attention.weights(&pairs)?);
            }
            outputs.named.insert("pair_interaction".into(), pairs);
            Ok(outputs)
        }),
    })
}

fn deepfm(case: Case) -> Result<Port> {
    let (schema, names) = single_fields(case)?;
    let config = case.part("config")?;
    no_dropout(config, "dnn_dropout")?;
    let units = config.integers("hidden_units")?;
    let config = deepfm::Config {
        embedding: embedding(config.integer("embed_dim")?),
        dnn: dnn(&units, activation(config.text("activation")?)?),
        form: deepfm::Form::Paper,
    };
    let store = VarStore::new(case.device);
    let model = said(deepfm::DeepFm::new(&store.root(), &schema, &config))?;
    let features = ids(case, &schema)?;
    let mut weights = tables(&names, &schema, "embedding.weight");
    weights.push(same("fm.w", "linear.weight"));
    weights.extend(hidden(&units));
    weights.extend(dense("dense", "output", Some("bias")));
    Ok(Port {
        store,
        weights,
        inputs: vec![],
        forward: Box::new(move |train| {
            let embeddings = model.embedding.forward(&features, train)?;
            let flat = embeddings.flatten(1, -1);
            let hidden = model.tower.dnn.forward(&flat, train)?;
            let named = [
                ("first_order", model.fm.linear.forward(&features, train)?),
                ("second_order", FmInteraction.forward(&embeddings)?),
                ("wide_outputs", model.fm.forward(&features, &embeddings, train)?),
                ("deep_outputs", model.tower.output.forward(&hidden)? + &model.bias),
                ("embed_flat", flat.shallow_clone()),
            ];
            let mut outputs = outputs(model.logits(&features, train)?, named);
            name_layers(&mut outputs, "dnn_h", model.tower.dnn.layers(&flat, train)?);
            Ok(outputs)
        }),
    })
}

fn cin_weights(sizes: &[i64]) -> impl Iterator<Item = Weight> {
    (0..sizes.len()).map(|l| Weight::new(format!("cin.W_{l}"), format!("cin.weight_{l}"), Layout::Filter))
}

fn cin_config(config: Case) -> Result<CinConfig> {
    Ok(CinConfig { cin_size: config.integers("cin_size")?, ..CinConfig::default() })
}

/// Names layers `prefix0`, `prefix1`, ...
fn name_layers(outputs: &mut Outputs, prefix: &str, layers: Vec<Tensor>) {
    outputs.named.extend(layers.into_iter().enumerate().map(|(l, layer)| (format!("{prefix}{l}"), layer)));
}

fn cin(case: Case) -> Result<Port> {
    let config = case.part("config")?;
    let cin_config = cin_config(config)?;
    let store = VarStore::new(case.device);
    let cin = said(Cin::new(store.root() / "cin", config.integer("fields")?, &cin_config))?;
    let x0 = case.part("inputs")?.part("x0")?.tensor()?.set_requires_grad(true);
    Ok(Port {
        store,
        weights: cin_weights(&cin_config.cin_size).collect(),
        inputs: vec![("input.x0", x0.shallow_clone())],
        forward: Box::new(move |_| {
            let output = cin.forward(&x0)?;
            let score = output.sum_dim_intlist(1, false, Kind::Float);
            let mut outputs = outputs(score, [("output", output)]);
            name_layers(&mut outputs, "cin_layer_", cin.layers(&x0)?);
            Ok(outputs)
        }),
    })
}

fn xdeepfm(case: Case) -> Result<Port> {
    let (schema, names) = single_fields(case)?;
    let config = case.part("config")?;
    no_dropout(config, "dnn_dropout")?;
    let units = config.integers("hidden_units")?;
    let config = xdeepfm::Config {
        embedding: embedding(config.integer("embed_dim")?),
        dnn: dnn(&units, activation(config.text("dnn_activation")?)?),
        cin: cin_config(config)?,
        part_biases: true,
    };
    let store = VarStore::new(case.device);
    let model = said(xdeepfm::XDeepFm::new(&store.root(), &schema, &config))?;
    let features = ids(case, &schema)?;
    let mut weights = tables(&names, &schema, "embedding.weight");
    weights.extend([same("linear.w", "linear.weight"), same("bias", "bias")]);
    weights.extend(cin_weights(&config.cin.cin_size));
    weights.extend(hidden(&units));
    weights.extend(dense("cin_dense", "cin_output", Some("cin_output.bias")));
    weights.extend(dense("dnn_dense", "output", Some("output.bias")));
    Ok(Port {
        store,
        weights,
        inputs: vec![],
        forward: Box::new(move |train| {
            let embed = model.embedding.forward(&features, train)?;
            let flat = embed.flatten(1, -1);
            let dnn = &model.tower.dnn;
            let (hidden, hidden_layers) = (dnn.forward(&flat, train)?, dnn.layers(&flat, train)?);
            let pooled = model.cin.forward(&embed)?;
            let layers = model.cin.layers(&embed)?;
            let named = [
                ("linear_out", model.linear.forward(&features, train)?),
                ("cin_out", model.cin_output.forward(&pooled)?),
                ("cin_pooled", pooled),
                ("dnn_out", model.tower.output.forward(&hidden)?),
                ("embed", embed),
            ];
            let mut outputs = outputs(model.logits(&features, train)?, named);
            name_layers(&mut outputs, "cin_layer_", layers);
            name_layers(&mut outputs, "dnn_h", hidden_layers);
            Ok(outputs)
        }),
    })
}

/// The columns of a sequence notebook in the order of their names: schema, slots and names.
fn sequences(case: Case) -> Result<(Schema, Features, Vec<String>)> {
    let mut columns = Vec::new();
    for column in case.part("config")?.part("columns")?.elements() {
        columns.push((column.text("name")?.to_owned(), column.integer("hash_bucket_size")?));
    }
    // Keras sorts by the names of the embedding columns.
    columns.sort_by_key(|(name, _)| format!("{name}_embedding"));
    let (mut fields, mut ids) = (Vec::new(), Vec::new());
    for (name, buckets) in &columns {
        let inputs = case.part("inputs")?;
        let values = inputs.part(&format!("{name}_ids"))?.tensor()?;
        if let Some(raw) = inputs.find(&format!("{name}_raw")) {
            check_buckets(name, *buckets, &raw.tensor()?, &values)?;
        }
        fields.push((name.clone(), *buckets, values.size()[1]));
        ids.push(values);
    }
    let schema = schema(&fields, &[])?;
    let features = features(&schema, &ids, false)?;
    Ok((schema, features, columns.into_iter().map(|(name, _)| name).collect()))
}

/// Checks that ids are the buckets of raw values, -1 being padding in both.
fn check_buckets(name: &str, buckets: i64, raw: &Tensor, ids: &Tensor) -> Result<()> {
    let integers = |tensor: &Tensor| Vec::<i64>::try_from(tensor.flatten(0, -1)).map_err(|error| error.to_string());
    for (raw, id) in integers(raw)?.into_iter().zip(integers(ids)?) {
        let expected = if raw < 0 { -1 } else { i64::from(bucket(&raw.to_string(), buckets as u32)) };
        if expected != id {
            return Err(format!("inputs.{name}_ids: {raw} falls into bucket {expected}, not {id}"));
        }
    }
    Ok(())
}

fn sequence_fm(case: Case) -> Result<Port> {
    let (schema, features, names) = sequences(case)?;
    let store = VarStore::new(case.device);
    let k = case.part("config")?.integer("deep_dimension")?;
    let fm = said(Fm::new(&store.root(), &schema, &embedding(k)))?;
    let named_tables = |kind: &str, ours: &str| {
        let names: Vec<String> = names.iter().map(|name| format!("{kind}.{name}")).collect();
        tables(&names, &schema, ours)
    };
    let mut weights = vec![same("w0", "bias")];
    weights.extend(named_tables("wide", "linear.weight"));
    weights.extend(named_tables("deep", "embedding.weight"));
    Ok(Port {
        store,
        weights,
        inputs: vec![],
        forward: Box::new(move |train| {
            let vectors = fm.embedding.slots(&features, train)?;
            let named = [
                ("wide_out", fm.linear.forward(&features, train)?),
                ("order_2nd", FmInteraction.forward(&vectors)?),
                ("feature_emb", vectors),
            ];
            Ok(outputs(fm.logits(&features, train)?, named))
        }),
    })
}

fn deepfm_dense(case: Case) -> Result<Port> {
    let (config, inputs) = (case.part("config")?, case.part("inputs")?);
    no_dropout(config, "dnn_dropout")?;
    if config.text("combiner")? != "mean" {
        return Err("the combiner can be mean alone".into());
    }
    let mut buckets = BTreeMap::new();
    for column in config.part("categorical")?.elements() {
        buckets.insert(column.text("name")?, column.integer("num_buckets")?);
    }
    let names = config.texts("sorted_embedding_order")?;
    let numeric = config.texts("sorted_numeric_order")?;

    let (mut fields, mut ids) = (Vec::new(), Vec::new());
    for &name in &names {
        let values = inputs.part(&format!("{name}_ids"))?.tensor()?;
        let buckets = buckets.get(name).ok_or_else(|| format!("`{name}` is not among the categorical columns"))?;
        fields.push((name.to_owned(), *buckets, values.size()[1]));
        ids.push(values);
    }
    let sparse = schema(&fields, &[])?;
    let features_of_sparse = said(features(&sparse, &ids, true)?.padded())?;
    // The numeric fields follow, two ids each, of which the second holds a number.
    let schema = schema(&fields, &numeric)?;
    let (mut ids, mut values) = (vec![features_of_sparse.ids], vec![features_of_sparse.values]);
    for (place, name) in numeric.iter().enumerate() {
        let numbers = inputs.part(name)?.tensor()?;
        ids.push(numbers.ones_like().to_kind(Kind::Int64) + schema.ids(names.len() + place).start);
        values.push(numbers);
    }
    let features = said(Features::new(&schema, Tensor::cat(&ids, 1), Tensor::cat(&values, 1)))?;

    let units = config.integers("dnn_hidden_units")?;
    let model_config = deepfm::Config {
        embedding: embedding(config.integer("embed_dim")?),
        dnn: dnn(&units, activation(config.text("dnn_activation")?)?),
        form: deepfm::Form::DenseFeatures,
    };
    let store = VarStore::new(case.device);
    let model = said(deepfm_dense::DenseFeaturesDeepFm::new(&store.root(), &schema, &model_config))?;
    let names: Vec<String> = names.iter().map(|name| format!("embed.{name}")).collect();
    let mut weights = tables(&names, &sparse, "embedding.weight");
    weights.push(same("linear.bias", "first_order_bias"));
    weights.extend(hidden(&units));
    weights.extend(dense("output_layer", "output", Some("output.bias")));
    Ok(Port {
        store,
        weights,
        inputs: vec![],
        forward: Box::new(move |train| {
            let (embeddings, numbers) = model.inputs(&features, train)?;
            let flat = embeddings.flatten(1, -1);
            let dnn_inputs = Tensor::cat(&[&flat, &numbers], 1);
            let named = [
                ("first_order", flat.sum_dim_intlist(1, true, Kind::Float) + &model.first_order_bias),
                ("second_order", FmInteraction.forward(&embeddings)?),
                ("dnn_inputs", dnn_inputs.shallow_clone()),
                ("embeddings", flat),
                ("embed_inputs", embeddings),
            ];
            let mut outputs = outputs(model.logits(&features, train)?, named);
            name_layers(&mut outputs, "dnn_h", model.dnn.layers(&dnn_inputs, train)?);
            Ok(outputs)
        }),
    })
}

fn dense_fm(case: Case) -> Result<Port> {
    let config = case.part("config")?;
    let (n, units, k) = (config.integer("input_dim")?, config.integer("units")?, config.integer("k")?);
    let store = VarStore::new(case.device);
    let fm = said(DenseFm::new(store.root() / "fm", n, units, k))?;
    let output = said(Dense::new(store.root() / "output", units, 1, true))?;
    let input = case.part("inputs")?.part("linear")?.tensor()?;
    let mut weights = vec![same("W0", "fm.bias")];
    weights.push(Weight::new("W", "fm.weight", Layout::Transposed));
    weights.push(Weight::new("V", "fm.latent", Layout::Transposed));
    weights.extend(dense("outputs", "output", Some("output.bias")));
    Ok(Port {
        store,
        weights,
        inputs: vec![],
        forward: Box::new(move |_| {
            let both = fm.forward(&input)?;
            let score = output.forward(&both)?.squeeze_dim(-1);
            let named = [
                ("linear_terms", fm.linear_terms(&input)?),
                ("pair_interactions", fm.pair_interactions(&input)?),
                ("fm_output", both),
            ];
            Ok(outputs(score, named))
        }),
    })
}
