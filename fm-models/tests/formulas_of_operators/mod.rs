//! Small models that between them use every operator and every form of it that can be written as ONNX.

use fm_core::{Features, Model, Padded, Schema};
use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

/// Parameters, and a formula of them and of a row's ids, values and vectors.
pub struct Formula {
    bias: Tensor,
    table: Tensor,
    /// `[3, 4]`
    matrix: Tensor,
    constants: Constants,
    formula: fn(&Row<'_>) -> Tensor,
}

pub struct Row<'a> {
    /// `[B, S]`
    ids: &'a Tensor,
    /// `[B, S]`
    values: &'a Tensor,
    /// `[B, S, 4]`
    vectors: Tensor,
    /// `[3, 4]`
    matrix: &'a Tensor,
    constants: &'a Constants,
}

/// Tensors that are no parameters.
struct Constants {
    index: Tensor,
    mask: Tensor,
    weights: Tensor,
    half: Tensor,
}

impl Model for Formula {
    fn logits(&self, features: &Features, train: bool) -> fm_core::Result<Tensor> {
        let Padded { ids, values, .. } = features.padded()?;
        let vectors = Tensor::f_embedding(&self.table, &ids, -1, false, train)?;
        let result = (self.formula)(&Row {
            ids: &ids,
            values: &values,
            vectors,
            matrix: &self.matrix,
            constants: &self.constants,
        });
        Ok(result.f_to_kind(Kind::Float)? + &self.bias)
    }

    fn bias(&self) -> &Tensor {
        &self.bias
    }
}

type Build = Box<dyn Fn(&Path<'_>, &Schema) -> Formula>;

/// The sum over all but the rows.
fn total(x: Tensor) -> Tensor {
    x.to_kind(Kind::Float).flatten(1, -1).sum_dim_intlist(1, false, Kind::Float)
}

/// The models by the operators that they are about.
pub fn formulas() -> Vec<(&'static str, Build)> {
    let one = |name, formula: fn(&Row<'_>) -> Tensor| -> (&'static str, Build) {
        let build = move |path: &Path<'_>, schema: &Schema| Formula {
            bias: path.var("bias", &[1], Init::Const(0.0)),
            table: (path / "embedding").var("weight", &[schema.num_ids(), 4], Init::Const(0.5)),
            matrix: path.var("matrix", &[3, 4], Init::Const(0.5)),
            constants: Constants {
                index: Tensor::from_slice(&[2i64, 0, 2]),
                mask: Tensor::from_slice(&[true, false, true, true]),
                weights: Tensor::from_slice(&[0.5f32, -1.0, 2.0, 0.25]),
                half: Tensor::from(0.5f64),
            },
            formula,
        };
        (name, Box::new(build))
    };
    vec![
        one("abs exp log neg reciprocal sqrt", |row| {
            let x = row.vectors.abs() + 0.5;
            total(x.exp().log() - x.sqrt().reciprocal() * x.neg())
        }),
        one("sin cos atan atan2", |row| {
            let (x, y) = (row.vectors.narrow(2, 0, 2), row.vectors.narrow(2, 2, 2));
            // Points on all sides, on the axes and at the origin.
            let zero = x.abs() * 0.0;
            let angles = (&x - 0.5).atan2(&(&y - 0.5)) + zero.atan2(&y) + x.atan2(&zero) + zero.atan2(&zero);
            total(x.sin() * y.cos() + (x * 3.0).atan() + angles)
        }),
        one("maximum minimum clamp", |row| {
            let x = &row.vectors;
            let (low, high) = (x.narrow(2, 0, 2), x.narrow(2, 2, 2));
            let bounded = x.clamp(0.45, 0.6) + x.clamp_min(0.5) * 2.0 + x.clamp_max(0.5) * 3.0;
            total(low.maximum(&high) - low.minimum(&high) * 2.0) + total(bounded)
        }),
        one("add sub alpha, div, pow", |row| {
            let x = &row.vectors;
            let scaled = x.g_add(&row.values.unsqueeze(-1)).g_sub_scalar(0.5);
            total(scaled / (x.square() + 1.0) + (x.abs() + 0.1).pow_tensor_scalar(1.5) + x.pow_tensor_scalar(2))
        }),
        one("addcmul", |row| {
            let x = &row.vectors;
            let values = row.values.unsqueeze(-1);
            total(x.addcmul(x, &values)) + total(row.matrix.select(0, 0).addcmul(x, &x.exp()))
        }),
        one("integers", |row| {
            let shifted = row.ids * 3 - 2;
            total((&shifted / 2).to_kind(Kind::Float) * 0.01 + shifted.to_kind(Kind::Float) * 0.01)
                + row.ids.sum_dim_intlist(1, false, Kind::Int64) * 0.01
                + row.ids.mean_dim(1, false, Kind::Float) * 0.01
        }),
        one("compare, logical, where", |row| {
            let (x, y) = (row.vectors.select(1, 0), row.vectors.select(1, -1));
            let either = x.lt_tensor(&y).logical_or(&x.ge(0.6)).logical_and(&y.gt(0.3).logical_not());
            let chosen = x.where_self(&either, &y) + x.where_self(&x.le_tensor(&y), &y) * 2.0;
            let counts = row.ids.eq(3).to_kind(Kind::Float) + row.ids.ne(1).to_kind(Kind::Float);
            total(chosen)
                + total(counts)
                + total(row.ids.gt(2.5))
                + total(row.ids.ge_tensor(&row.constants.half))
                + total(row.ids.gt(3).eq(1))
                + total(row.values.masked_fill(&row.ids.le(4), -1.5))
        }),
        one("sum mean amax amin logsumexp", |row| {
            let x = &row.vectors;
            let extremes = x.amax([1, 2], false) - x.amin(-1, true).squeeze_dim(2).amin(1, false);
            let means = x.mean_dim(&[-1i64, -2][..], true, Kind::Float).flatten(0, -1)
                + x.logsumexp(1, false).sum_dim_intlist(1, false, Kind::Float);
            extremes + means + row.matrix.sum(Kind::Float) + row.matrix.mean(Kind::Float)
        }),
        one("softmax log_softmax", |row| {
            let x = &row.vectors;
            total(x.softmax(-1, Kind::Float).square()) + total(x.log_softmax(1, Kind::Float)) * 0.1
        }),
        one("layer_norm", |row| {
            let x = row.vectors.narrow(1, 0, 3);
            let [gamma, beta] = [0, 1].map(|at| row.matrix.select(0, at));
            let none = None::<&Tensor>;
            total(x.layer_norm([4], Some(&gamma), Some(&beta), 1e-5, true).square() * row.matrix)
                + total(x.layer_norm([3, 4], none, none, 0.1, true).square() * row.matrix)
        }),
        one("narrow slice select index_select", |row| {
            let x = &row.vectors;
            let picked = x.index_select(1, &row.constants.index);
            let cut = x.slice(1, 1, -1, 2) * x.slice(2, None, 1, 1).slice(1, 0, 1, 1);
            total(picked * x.narrow(1, -3, 3)) + total(cut) + x.select(2, 1).select(-1, -2)
        }),
        one("cat stack", |row| {
            let x = &row.vectors;
            let stacked = Tensor::stack(&[x.select(1, 0), x.select(1, 1), x.select(1, 2)], -1);
            let joined = Tensor::cat(&[row.ids.to_kind(Kind::Float) * 0.1, row.values.shallow_clone()], -1);
            total(stacked.square() * row.matrix.tr()) + total(joined.square())
        }),
        one("flatten reshape view squeeze unsqueeze", |row| {
            let x = row.vectors.narrow(1, 0, 4);
            let square =
                x.reshape([-1, 2, 8]).flatten(0, 1).view([-1, 2, 2, 4]).sum_dim_intlist(-1, false, Kind::Float);
            let thin =
                x.unsqueeze(0).squeeze_dim(0).narrow(1, 0, 1).unsqueeze(-2).squeeze_dims([1i64, 2]).squeeze_dim(1);
            total(square.square()) + total(thin)
        }),
        one("expand expand_as", |row| {
            let x = row.vectors.narrow(1, 0, 3);
            let wide = row.values.narrow(1, 0, 1).expand([-1, 4], false);
            total(row.matrix.expand_as(&x) * &x)
                + total(wide.square())
                + total(row.matrix.expand([2, 3, 4], false).sum_dim_intlist(0, false, Kind::Float) * x)
        }),
        one("transpose t permute diagonal", |row| {
            let x = row.vectors.narrow(1, 0, 3);
            let turned = x.transpose(1, 2).matmul(row.matrix).permute([0, -1, 1]);
            let diagonals = turned.diagonal(1, -1, 1) * turned.diagonal(-1, 1, 2);
            total(diagonals) + total(x.matmul(&row.matrix.tr()).diagonal(0, 1, 2).square())
        }),
        one("triu tril", |row| {
            let x = row.vectors.narrow(1, 0, 3);
            total(x.triu(1) * x.tril(0).square())
                + total(x.matmul(&row.matrix.tr().triu(-1)) * row.matrix.tril(-1).sum(Kind::Float))
        }),
        one("linear matmul mm bmm", |row| {
            let x = row.vectors.narrow(1, 0, 3);
            let bias = row.matrix.select(1, 0);
            let flat =
                x.select(1, 0).linear(row.matrix, Some(&bias)) + x.select(1, 1).linear(row.matrix, None::<&Tensor>);
            let pairs = x.bmm(&x.transpose(1, 2));
            total(flat)
                + total(x.linear(row.matrix, Some(&bias)).square())
                + total(pairs)
                + total(x.select(1, 2).mm(&row.matrix.tr()))
                + x.select(1, 0).matmul(&row.matrix.select(0, 0))
        }),
        one("detach contiguous dropout type_as", |row| {
            let x = row.vectors.transpose(1, 2).contiguous().detach().dropout(0.5, false);
            total(row.ids.type_as(&x) * 0.1) + total(x.square())
        }),
        one("constants", |row| {
            let Constants { half, mask, weights, .. } = row.constants;
            // Minus infinity, as a softmax over some of the slots takes it.
            let masked = row.vectors.masked_fill(mask, f64::NEG_INFINITY).exp();
            total(&row.vectors * weights) + total(masked * half) + total(row.vectors.masked_fill(mask, 3.0) + half)
        }),
    ]
}
