//! Pairs of fields, each with a matrix.

use fm_core::Result;
use fm_core::schema::Layout;
use tch::nn::{Init, Path};
use tch::{Kind, Tensor, no_grad};

use super::{above_diagonal, check_device, check_input, check_size, field_of_slots};

/// Σ_{f<g} ⟨M_{f,g}ᵀ e_f, e_g⟩: all pairs of fields, each with a matrix that maps one field's vectors to the other's
/// space.
///
/// With x = [e_1; ...; e_F] and the matrix M of all blocks M_{f,g} above the diagonal, this is xᵀ M x: one matrix
/// product for all pairs.
///
/// # Shapes
/// `[B, F, k]` → `[B]`
///
/// Source: Sun, Pan, Zhang and Flores, FM²: field-matrixed factorization machines for recommender systems, WWW 2021,
/// section 3, <https://arxiv.org/abs/2102.12994>. All M start as the identity, where it is the sum of an FM.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::FieldMatrixedInteraction;
///
/// let store = VarStore::new(Device::Cpu);
/// let interaction = FieldMatrixedInteraction::new(store.root(), 5, 16)?;
/// let scores = interaction.forward(&Tensor::ones([8, 5, 16], (Kind::Float, Device::Cpu)))?; // [B, F, k]
/// assert_eq!(scores.size(), [8]);
/// assert_eq!(scores.double_value(&[0]), 160.0); // 10 pairs of vectors of 16 ones
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct FieldMatrixedInteraction {
    weight: Tensor,
    fields: i64,
    k: i64,
}

impl FieldMatrixedInteraction {
    /// Creates `weight` `[k, k, F, F]` under `path`, in which M_{f,g} is `[.., .., f, g]`. Only M with f < g have a
    /// meaning.
    ///
    /// # Errors
    /// [`fm_core::Error::Setting`] for sizes out of range, [`fm_core::Error::Torch`] if memory is insufficient.
    pub fn new(path: Path<'_>, fields: i64, k: i64) -> Result<FieldMatrixedInteraction> {
        check_size("FieldMatrixedInteraction", "the number of fields", fields)?;
        check_size("FieldMatrixedInteraction", "k", k)?;
        let weight = path.f_var("weight", &[k, k, fields, fields], Init::Const(0.0))?;
        no_grad(|| drop(weight.diagonal(0, 0, 1).fill_(1.0)));
        Ok(FieldMatrixedInteraction { weight, fields, k })
    }

    /// M `[F, k, F, k]`, with zeros for f ≥ g.
    fn matrices(&self) -> Tensor {
        self.weight.triu(1).permute([2, 0, 3, 1])
    }

    /// The sum over pairs `[B]`.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, F, k]`.
    pub fn forward(&self, embeddings: &Tensor) -> Result<Tensor> {
        check_input("FieldMatrixedInteraction", embeddings, &[self.fields, self.k])?;
        check_device("FieldMatrixedInteraction", embeddings, &self.weight)?;
        let (x, width) = (embeddings.flatten(1, -1), self.fields * self.k);
        let projected = x.matmul(&self.matrices().reshape([width, width]));
        Ok((x * projected).sum_dim_intlist(1, false, Kind::Float))
    }

    /// Σ_f M_{f,g}ᵀ e_f over the fields f ≠ g, for each field g: `[B, F, k]`. For f > g, M_{f,g} is M_{g,f}ᵀ.
    ///
    /// # Errors
    /// Those of [`FieldMatrixedInteraction::forward`].
    pub fn partners(&self, embeddings: &Tensor) -> Result<Tensor> {
        check_input("FieldMatrixedInteraction", embeddings, &[self.fields, self.k])?;
        let width = self.fields * self.k;
        let above = self.matrices().reshape([width, width]);
        Ok(embeddings.flatten(1, -1).matmul(&(&above + above.transpose(0, 1))).view([-1, self.fields, self.k]))
    }

    /// ⟨M_{f,g}ᵀ e_s, e_t⟩ of each pair of slots of the fields f and g, `[B, S(S-1)/2]`, from the slots' vectors
    /// `[B, S, k]`. A pair within a field has no term.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for an input that is not `[B, S, k]`.
    pub fn terms(&self, slots: &Tensor, layout: &Layout) -> Result<Tensor> {
        let number = layout.num_slots() as i64;
        check_input("FieldMatrixedInteraction", slots, &[number, self.k])?;
        let fields = field_of_slots(layout, slots.device());
        let of_slots = self.matrices().index_select(0, &fields).index_select(2, &fields).reshape([number, self.k, -1]);
        let projected = slots.transpose(0, 1).matmul(&of_slots).transpose(0, 1); // [B, S, S k]
        let products = projected.reshape([-1, number, number, self.k]) * slots.unsqueeze(1);
        Ok(above_diagonal(&products.sum_dim_intlist(-1, false, Kind::Float)))
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
        fn it_equals_the_sum_of_the_products_by_the_matrices((fields, k) in (1usize..6, 1usize..4), seed: u64) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let layer = FieldMatrixedInteraction::new(store.root() / "m", fields as i64, k as i64).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let vectors = draw.cube(3, fields, k);
            let input = tensor(&vectors.concat().concat(), &[3, fields as i64, k as i64]);
            let expected: Vector = vectors.iter().map(|vectors| fmfm(&p, "m", vectors)).collect();
            assert_close(&layer.forward(&input).unwrap(), &expected, "the sum over pairs");
        }
    }

    #[test]
    fn it_starts_as_the_sum_of_an_fm() {
        let store = VarStore::new(Device::Cpu);
        let layer = FieldMatrixedInteraction::new(store.root(), 4, 3).unwrap();
        let vectors = Draw(1).matrix(4, 3);
        let found = layer.forward(&tensor(&vectors.concat(), &[1, 4, 3])).unwrap();
        assert_close(&found, &[fm(&vectors)], "the sum over pairs");
    }
}
