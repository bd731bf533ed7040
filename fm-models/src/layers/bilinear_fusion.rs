//! A bilinear form of two vectors.

use fm_core::{Error, Result};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::{Dense, check_device, check_input, check_rows, check_size, glorot};

/// y = ⟨w_1, a⟩ + ⟨w_2, b⟩ + Σ_h a_hᵀ W_h b_h: both vectors, and the products of their elements. a and b are cut into H
/// parts a_h and b_h, and only parts with the same h interact.
///
/// # Shapes
/// a `[B, n]` and b `[B, m]` → `[B]`
///
/// Source: Mao et al., FinalMLP, AAAI 2023, section 3, <https://arxiv.org/abs/2304.00902>. The paper's bias b is
/// the model's w₀.
///
/// ```
/// use fm_core::tch::{Device, Kind, Tensor, nn::VarStore};
/// use fm_models::layers::BilinearFusion;
///
/// let store = VarStore::new(Device::Cpu);
/// let fusion = BilinearFusion::new(&store.root(), [64, 32], 4)?;
/// let [a, b] = [64, 32].map(|width| Tensor::randn([8, width], (Kind::Float, Device::Cpu)));
/// assert_eq!(fusion.forward(&a, &b)?.size(), [8]);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct BilinearFusion {
    first: Dense,
    second: Dense,
    weight: Tensor,
    widths: [i64; 2],
    heads: i64,
}

impl BilinearFusion {
    /// Creates `first` w_1 `[1, n]`, `second` w_2 `[1, m]`, and `weight` W `[H, n / H, m / H]` under `path`.
    ///
    /// # Errors
    /// [`Error::Setting`] for a number of heads out of range, or that does not divide the widths; [`Error::Torch`] if
    /// memory is insufficient.
    pub fn new(path: &Path<'_>, widths: [i64; 2], heads: i64) -> Result<BilinearFusion> {
        check_size("BilinearFusion", "fusion_heads", heads)?;
        if let Some(width) = widths.into_iter().find(|width| width % heads != 0) {
            let reason =
                format!("fusion_heads is {heads}: it must divide the width of both streams, but one is {width}");
            return Err(Error::Setting(format!("BilinearFusion: {reason}")));
        }
        let [n, m] = widths.map(|width| width / heads);
        Ok(BilinearFusion {
            first: Dense::new(path / "first", widths[0], 1, false)?,
            second: Dense::new(path / "second", widths[1], 1, false)?,
            weight: path.f_var("weight", &[heads, n, m], glorot(n, m))?,
            widths,
            heads,
        })
    }

    /// y `[B]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for inputs that are not `[B, n]` and `[B, m]`.
    pub fn forward(&self, first: &Tensor, second: &Tensor) -> Result<Tensor> {
        check_input("BilinearFusion", first, &self.widths[..1])?;
        check_input("BilinearFusion", second, &self.widths[1..])?;
        check_rows("BilinearFusion", first, second)?;
        check_device("BilinearFusion", first, &self.weight)?;
        // [H, B, n / H]
        let by_head = |x: &Tensor, width: i64| x.view([-1, self.heads, width / self.heads]).transpose(0, 1);
        let mapped = by_head(first, self.widths[0]).matmul(&self.weight);
        let products = mapped * by_head(second, self.widths[1]);
        let single = self.first.forward(first)? + self.second.forward(second)?;
        Ok(single.squeeze_dim(-1) + products.sum_dim_intlist(&[0i64, 2][..], false, Kind::Float))
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
        fn it_equals_the_sum_over_the_heads((n, m, heads) in (1usize..4, 1usize..4, 1usize..4), seed: u64) {
            let mut draw = Draw(seed);
            let store = VarStore::new(Device::Cpu);
            let (n, m) = (n * heads, m * heads);
            let layer = BilinearFusion::new(&(store.root() / "f"), [n as i64, m as i64], heads as i64).unwrap();
            let p = Parameters::draw(&store, &mut draw);
            let (a, b) = (draw.matrix(3, n), draw.matrix(3, m));
            let expected: Vector = a.iter().zip(&b).map(|(a, b)| bilinear_fusion(&p, "f", heads, a, b)).collect();
            let [a, b] = [&a, &b].map(|x| tensor(&x.concat(), &[3, x[0].len() as i64]));
            assert_close(&layer.forward(&a, &b).unwrap(), &expected, "the sum");
        }
    }
}
