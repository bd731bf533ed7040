//! Pairs of fields, each with a weight.

use fm_core::Result;
use fm_core::schema::Layout;
use tch::nn::{Init, Path};
use tch::{Kind, Tensor};

use super::{FmInteraction, above_diagonal, check_device, check_input, check_size, field_of_slots};

/// Σ_{f<g} r_{f,g} ⟨e_f, e_g⟩ = Σ_f ⟨e_f, Σ_{g>f} r_{f,g} e_g⟩: all pairs of fields, with a strength for each pair.
///
/// # Shapes
/// `[B, F, k]` → `[B]`
///
/// Source: Pan et al., Field-weighted factorization machines for click-through rate prediction in display advertising,
/// WWW 2018, section 3, <https://arxiv.org/abs/1806.03514>. All r start at 1, where it is the sum of an FM.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::FieldWeightedInteraction;
///
/// let store = VarStore::new(Device::Cpu);
/// let interaction = FieldWeightedInteraction::new(store.root(), 5)?;
/// let scores = interaction.forward(&Tensor::ones([8, 5, 16], (Kind::Float, Device::Cpu)))?; // [B, F, k]
/// assert_eq!(scores.size(), [8]);
/// assert_eq!(scores.double_value(&[0]), 160.0); // 10 pairs of vectors of 16 ones
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct FieldWeightedInteraction {
    weight: Tensor,
    fields: i64,
}

impl FieldWeightedInteraction {
    /// Creates `weight` r `[F, F]` under `path`. Only the elements above the diagonal have a meaning.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for a number of fields out of range, [`fm_core::Error::Torch`] if memory is
    /// insufficient.
    pub fn new(path: Path<'_>, fields: i64) -> Result<FieldWeightedInteraction> {
        check_size("FieldWeightedInteraction", "the number of fields", fields)?;
        Ok(FieldWeightedInteraction { weight: path.f_var("weight", &[fields, fields], Init::Const(1.0))?, fields })
    }

    /// The sum over pairs `[B]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, F, k]`.
    pub fn forward(&self, embeddings: &Tensor) -> Result<Tensor> {
        check_input("FieldWeightedInteraction", embeddings, &[self.fields, -1])?;
        check_device("FieldWeightedInteraction", embeddings, &self.weight)?;
        let partners = self.weight.triu(1).matmul(embeddings); // Σ_{g>f} r_{f,g} e_g
        Ok((embeddings * partners).sum_dim_intlist(&[1i64, 2][..], false, Kind::Float))
    }

    /// Σ_f r_{f,g} e_f over the fields f ≠ g, for each field g: `[B, F, k]`.
    ///
    /// # Errors
    /// Those of [`FieldWeightedInteraction::forward`].
    pub fn partners(&self, embeddings: &Tensor) -> Result<Tensor> {
        check_input("FieldWeightedInteraction", embeddings, &[self.fields, -1])?;
        let above = self.weight.triu(1);
        Ok((&above + above.transpose(0, 1)).matmul(embeddings))
    }

    /// r_{f,g} ⟨e_s, e_t⟩ of each pair of slots of the fields f and g, `[B, S(S-1)/2]`, from the slots' vectors
    /// `[B, S, k]`. A pair within a field has no term.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, S, k]`.
    pub fn terms(&self, slots: &Tensor, layout: &Layout) -> Result<Tensor> {
        let fields = field_of_slots(layout, slots.device());
        let weights = self.weight.triu(1).index_select(0, &fields).index_select(1, &fields);
        Ok(FmInteraction.terms(slots)? * above_diagonal(&weights))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tch::Device;
    use tch::nn::VarStore;

    use super::*;
    use crate::oracle::*;

    proptest! {
        #[test]
        fn it_equals_the_weighted_sum_over_pairs((fields, k) in (1usize..7, 1usize..5), seed: u64) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let layer = FieldWeightedInteraction::new(store.root() / "r", fields as i64).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let vectors = draw.cube(3, fields, k);
            let input = tensor(&vectors.concat().concat(), &[3, fields as i64, k as i64]);
            let expected: Vector = vectors.iter().map(|vectors| fwfm(&p, "r", vectors)).collect();
            assert_close(&layer.forward(&input).unwrap(), &expected, "the sum over pairs");
        }
    }

    #[test]
    fn it_starts_as_the_sum_of_an_fm() {
        let store = VarStore::new(Device::Cpu);
        let layer = FieldWeightedInteraction::new(store.root(), 4).unwrap();
        let vectors = Draw(1).matrix(4, 3);
        let found = layer.forward(&tensor(&vectors.concat(), &[1, 4, 3])).unwrap();
        assert_close(&found, &[fm(&vectors)], "the sum over pairs");
    }
}
