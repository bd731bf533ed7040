//! The layers of models, one file each.
//!
//! Every `forward` checks its input and returns [`fm_core::Error::Shape`] with the name of the layer, the expected
//! shape and the found shape. Layers with a single tensor input are also [`nn::Module`]s, for [`nn::Sequential`]. That
//! trait has no errors, so there they panic instead.
//!
//! B is the number of rows, S the number of slots, F the number of fields, and k the length of a latent vector.

mod activation;
mod activation_unit;
mod anova;
mod attention;
mod batch_norm;
mod bi_interaction;
mod bilinear;
mod bilinear_fusion;
mod bridge;
mod cin;
mod cross_gated;
mod cross_matrix;
mod cross_mixture;
mod cross_network;
mod cross_vector;
mod dense;
mod dense_fm;
mod dice;
mod disentangled;
mod dnn;
mod dropout;
mod embedding;
mod factorized;
mod feature_gate;
mod ffm;
mod field_matrixed;
mod field_weighted;
mod first_order;
mod fm;
mod history;
mod inner_products;
mod interacting;
mod item_fields;
mod layer_norm;
mod linear;
mod logarithmic;
mod mask_block;
mod numbers;
mod outer_product;
mod pair_pooling;
mod pairs;
mod regulation;
mod senet;
mod tower;
mod transformer;
mod wukong;

pub use activation::Activation;
pub use activation_unit::{ActivationUnit, UnitActivation};
pub use anova::AnovaKernel;
pub use attention::AttentionPooling;
pub use batch_norm::{BatchNorm, BatchNormMode};
pub use bi_interaction::BiInteraction;
pub use bilinear::{Bilinear, BilinearPairs};
pub use bilinear_fusion::BilinearFusion;
pub use bridge::{Bridge, BridgeForm};
pub use cin::{Cin, CinConfig};
pub use cross_gated::GatedCross;
pub use cross_matrix::MatrixCross;
pub use cross_mixture::MixtureCross;
pub use cross_network::{CrossForm, CrossNetwork};
pub use cross_vector::VectorCross;
pub use dense::Dense;
pub use dense_fm::DenseFm;
pub use dice::Dice;
pub use disentangled::DisentangledLayer;
pub use dnn::{Dnn, DnnConfig, HiddenNorm};
pub use dropout::Dropout;
pub use embedding::{Embedding, EmbeddingConfig};
pub use factorized::FactorizedInteraction;
pub use feature_gate::FeatureGate;
pub use ffm::{Ffm, FfmForm, FfmInteraction, SummedFfmInteraction};
pub use field_matrixed::FieldMatrixedInteraction;
pub use field_weighted::FieldWeightedInteraction;
pub use first_order::{FirstOrder, FirstOrderForm};
pub use fm::{Fm, FmInteraction, FmOverEmbeddings};
pub use history::History;
pub(crate) use history::is_there;
pub use inner_products::InnerProducts;
pub use interacting::{InteractingConfig, InteractingLayer};
pub(crate) use item_fields::ItemFields;
pub use layer_norm::LayerNorm;
pub use linear::{Linear, bias};
pub use logarithmic::LogarithmicLayer;
pub use mask_block::MaskBlock;
pub use numbers::Numbers;
pub use outer_product::OuterProduct;
pub use pair_pooling::{PairPooling, Pooling};
pub use pairs::PairwiseProduct;
pub(crate) use pairs::{above_diagonal, field_of_slots, is_across, pair_of_fields};
pub use regulation::Regulation;
pub use senet::Senet;
pub use tower::Tower;
pub use transformer::{BlockForm, TransformerBlock, TransformerConfig};
pub use wukong::{WukongLayer, WukongSizes};

use std::ops::Range;

use fm_core::device::is_mixed_precision;
use fm_core::schema::Layout;
use fm_core::terminal::grouped;
use fm_core::{Error, Features, Padded, Result, Schema};
use tch::{Device, Kind, Tensor, nn};

/// The ids of some fields, ascending. Fields that share a table have the same.
fn ids_of(schema: &Schema, fields: &[usize]) -> Vec<Range<i64>> {
    let mut ids: Vec<Range<i64>> = fields.iter().map(|&field| schema.ids(field)).collect();
    ids.sort_unstable_by_key(|ids| ids.start);
    ids.dedup();
    ids
}

/// What does not fit into memory: a layer's table with `length` numbers for each id of these fields.
fn table_of(layer: &str, schema: &Schema, fields: impl Iterator<Item = usize> + Clone, length: i64) -> String {
    let rows = |field: usize| {
        let ids = schema.ids(field);
        if schema.owner(field) == field { ids.end - ids.start } else { 0 }
    };
    let all: i64 = fields.clone().map(rows).sum();
    let largest = fields.max_by_key(|&field| rows(field));
    let of_field =
        largest.map(|field| format!(", {} of them for field `{}`", grouped(rows(field)), schema.fields()[field].name));
    let gigabytes = 4.0 * all as f64 * length as f64 / 1e9;
    let of_field = of_field.unwrap_or_default();
    format!("the table of {layer}, {gigabytes:.1} GB: {length} numbers in each of {} rows{of_field}", grouped(all))
}

/// Checks a layer's input against `[B, sizes...]`; -1 allows any size.
pub(crate) fn check_input(layer: &'static str, input: &Tensor, sizes: &[i64]) -> Result<()> {
    let found = input.size();
    let fits = found.len() == sizes.len() + 1
        && found[1..].iter().zip(sizes).all(|(found, &size)| size == -1 || *found == size);
    if fits && is_float(input) {
        return Ok(());
    }
    let sizes = sizes.iter().map(|&size| if size == -1 { ", any".to_owned() } else { format!(", {size}") });
    let expected = format!("float32 of shape [B{}]", sizes.collect::<String>());
    Err(Error::shape(layer, expected, format!("{:?} of shape {found:?}", input.kind())))
}

/// Checks that the input of a layer for any shape is float32.
fn check_kind(layer: &'static str, input: &Tensor) -> Result<()> {
    match is_float(input) {
        true => Ok(()),
        false => Err(Error::shape(layer, "float32", format!("{:?} of shape {:?}", input.kind(), input.size()))),
    }
}

/// Whether a tensor is float32, or bfloat16 as the output of layers in mixed precision.
fn is_float(input: &Tensor) -> bool {
    match input.kind() {
        Kind::Float => true,
        Kind::BFloat16 => is_mixed_precision(input.device()),
        _ => false,
    }
}

/// Checks that an input is on the device of the layer's parameters.
fn check_device(layer: &'static str, input: &Tensor, parameter: &Tensor) -> Result<()> {
    match (input.device(), parameter.device()) {
        (found, device) if found == device => Ok(()),
        (found, device) => Err(Error::shape(layer, format!("an input on {device:?}"), format!("one on {found:?}"))),
    }
}

/// Checks that a batch has the fields of a layer and is on the device of its parameters.
pub(crate) fn check_features(layer: &'static str, features: &Features, layout: &Layout, device: Device) -> Result<()> {
    match features {
        Features::Padded(rows) => check_padded(layer, rows, layout.num_slots() as i64, device),
        Features::Ragged(rows) if rows.layout() == layout && rows.device() == device => Ok(()),
        Features::Ragged(rows) => {
            let of =
                |layout: &Layout| format!("rows of {} fields in {} slots", layout.num_fields(), layout.num_slots());
            let expected = format!("{} on {device:?}", of(layout));
            let other =
                if of(rows.layout()) == of(layout) && rows.layout() != layout { " of another schema" } else { "" };
            Err(Error::shape(layer, expected, format!("{}{other} on {:?}", of(rows.layout()), rows.device())))
        }
    }
}

fn check_padded(layer: &'static str, rows: &Padded, slots: i64, device: Device) -> Result<()> {
    let Padded { ids, values, .. } = rows;
    let shape = ids.size();
    if shape.len() != 2 || shape[1] != slots || ids.kind() != Kind::Int64 || ids.device() != device {
        let found = format!("{:?} of shape {shape:?} on {:?}", ids.kind(), ids.device());
        return Err(Error::shape(layer, format!("ids: Int64 of shape [B, {slots}] on {device:?}"), found));
    }
    if values.size() != shape || values.kind() != Kind::Float || values.device() != device {
        let found = format!("{:?} of shape {:?} on {:?}", values.kind(), values.size(), values.device());
        return Err(Error::shape(layer, format!("values: Float of shape {shape:?} on {device:?}"), found));
    }
    Ok(())
}

/// Checks a size in a layer's configuration.
pub(crate) fn check_size(layer: &str, name: &str, size: i64) -> Result<()> {
    if (1..=65536).contains(&size) {
        return Ok(());
    }
    Err(Error::Setting(format!("{layer}: {name} is {size}: it must be 1 to 65536")))
}

/// Checks that the first and the last layer of a cross network are `[B, width]`.
fn check_crossed(layer: &'static str, first: &Tensor, last: &Tensor, width: i64) -> Result<()> {
    check_input(layer, first, &[width])?;
    check_input(layer, last, &[width])?;
    check_rows(layer, first, last)
}

/// Checks that two inputs of a layer have the same number of rows.
fn check_rows(layer: &'static str, first: &Tensor, second: &Tensor) -> Result<()> {
    match (first.size().first(), second.size().first()) {
        (rows, other) if rows == other => Ok(()),
        _ => {
            let expected = format!("inputs of as many rows as {:?}", first.size());
            Err(Error::shape(layer, expected, format!("{:?}", second.size())))
        }
    }
}

/// Checks that a schema has a pair of fields.
pub(crate) fn at_least_two_fields(schema: &Schema) -> Result<()> {
    match schema.num_fields() {
        0 | 1 => Err(Error::Setting(format!(
            "it pairs fields, so it needs at least 2: the schema has {}",
            schema.num_fields()
        ))),
        _ => Ok(()),
    }
}

/// Glorot uniform initialisation.
fn glorot(inputs: i64, outputs: i64) -> nn::Init {
    let bound = (6.0 / (inputs as f64 + outputs as f64)).sqrt();
    nn::Init::Uniform { lo: -bound, up: bound }
}

macro_rules! modules {
    ($($layer:ty),*) => { $(
        impl nn::Module for $layer {
            fn forward(&self, input: &Tensor) -> Tensor {
                <$layer>::forward(self, input).unwrap_or_else(|error| panic!("{error}"))
            }
        }
    )* };
}
modules!(
    AnovaKernel,
    AttentionPooling,
    BiInteraction,
    BilinearPairs,
    Cin,
    CrossNetwork,
    Dense,
    DenseFm,
    FieldMatrixedInteraction
);
modules!(FieldWeightedInteraction, FmInteraction, InnerProducts, InteractingLayer, LayerNorm, OuterProduct);
modules!(FactorizedInteraction, FeatureGate, PairPooling, PairwiseProduct, Senet, SummedFfmInteraction, VectorCross);

macro_rules! training_modules {
    ($($layer:ty),*) => { $(
        impl nn::ModuleT for $layer {
            fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
                <$layer>::forward(self, input, train).unwrap_or_else(|error| panic!("{error}"))
            }
        }
    )* };
}
training_modules!(BatchNorm, Dnn, LogarithmicLayer, WukongLayer);

#[cfg(test)]
mod tests {
    use tch::nn::{ModuleT, VarStore};

    use super::*;
    use crate::oracle;

    #[test]
    fn layers_work_in_a_sequential_which_tells_them_whether_it_trains() {
        let store = VarStore::new(Device::Cpu);
        let norm = BatchNorm::new(store.root(), 1, BatchNormMode::Standard).unwrap().unwrap();
        let layers = nn::seq_t().add(PairwiseProduct::new(2).unwrap()).add_fn(|pairs| pairs.flatten(1, -1)).add(norm);
        let x = oracle::tensor(&[1.0, 2.0, 3.0, 4.0], &[2, 2, 1]);
        let scaled = |x: f64, mean: f64, variance: f64| (x - mean) / (variance + 0.001f64).sqrt();
        let by_batch = [scaled(2.0, 7.0, 25.0), scaled(12.0, 7.0, 25.0)];
        oracle::assert_close(&layers.forward_t(&x, true), &by_batch, "the output in training");
        let (mean, variance) = (0.01 * 7.0, 0.99 + 0.01 * 25.0);
        let by_moving = [scaled(2.0, mean, variance), scaled(12.0, mean, variance)];
        oracle::assert_close(&layers.forward_t(&x, false), &by_moving, "the output afterwards");
    }
}
