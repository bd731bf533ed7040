//! Models whose score is an inner product, so that an index of vectors finds the best items.

use tch::{Kind, Tensor};

use crate::candidates::Candidates;
use crate::error::Result;
use crate::features::Features;

/// A model whose logit is ⟨v, v'⟩ + s + s', where v and s depend on the row without its item, and v' and s' on the item.
/// [`Model::inner_product`](crate::Model::inner_product) returns it. The candidates of a ranking then share v and s, and an
/// index of vectors finds the best items of a large catalogue.
pub trait InnerProduct {
    /// v `[B, d]` and s `[B]` of rows without items. With `train`, tables have row-sparse gradients.
    ///
    /// # Errors
    /// Those of [`Model::logits`](crate::Model::logits).
    fn of_rows(&self, rows: &Features, train: bool) -> Result<Half>;

    /// v' `[I, d]` and s' `[I]` of items, which are rows without any other field. With `train`, tables have row-sparse
    /// gradients.
    ///
    /// # Errors
    /// Those of [`Model::logits`](crate::Model::logits).
    fn of_items(&self, items: &Features, train: bool) -> Result<Half>;
}

/// One side of an [`InnerProduct`].
#[derive(Debug)]
pub struct Half {
    /// v `[n, d]`.
    pub vectors: Tensor,
    /// s `[n]`; `None` if it is always 0.
    pub own: Option<Tensor>,
}

impl Half {
    /// [v'; s'] `[I, d + 1]`, or v' if s' is always 0: the vectors of items in an index.
    pub fn of_index(&self) -> Tensor {
        match &self.own {
            Some(own) => Tensor::cat(&[&self.vectors, &own.unsqueeze(-1)], 1),
            None => self.vectors.shallow_clone(),
        }
    }

    /// [v; 1] `[B, d + 1]`, or v `[B, d]`: the queries for an index of `items`. A row's inner products with the vectors of
    /// the index are its logits minus its s.
    pub fn of_query(&self, items: &Half) -> Tensor {
        match &items.own {
            Some(_) => {
                // A tensor of another one's shape: tracing would freeze the number of rows.
                let one = self.vectors.sum_dim_intlist(1, true, Kind::Float).ones_like();
                Tensor::cat(&[&self.vectors, &one], 1)
            }
            None => self.vectors.shallow_clone(),
        }
    }
}

/// The logits `[B, c]` of candidates.
pub(crate) fn candidate_logits(model: &dyn InnerProduct, candidates: &Candidates<'_>, train: bool) -> Result<Tensor> {
    let [rows, items] = candidates.size();
    let of_rows = model.of_rows(&candidates.shared()?, train)?;
    let (items_once, places) = candidates.items()?;
    let of_items = model.of_items(&items_once, train)?;
    let products =
        of_items.vectors.f_index_select(0, &places)?.f_view([rows, items, -1])? * of_rows.vectors.unsqueeze(1);
    let mut logits = products.f_sum_dim_intlist(-1, false, Kind::Float)?;
    if let Some(own) = of_items.own {
        logits += own.f_index_select(0, &places)?.f_view([rows, items])?;
    }
    if let Some(own) = of_rows.own {
        logits += own.unsqueeze(1);
    }
    Ok(logits)
}
