//! Principal components: the directions in which vectors vary most.

use anyhow::Result;
use tch::{Kind, Tensor};

/// Points in two dimensions.
pub struct Components {
    /// The coordinates of each vector along the first two principal components.
    pub points: Vec<(f64, f64)>,
    /// The share of the variance that each component explains.
    pub explained: [f64; 2],
}

/// The first two principal components of vectors `[N, k]`, from the singular value decomposition of the centred
/// vectors. `None` for fewer than three vectors, or if all vectors are equal.
///
/// The sign of a component is arbitrary: here, the coordinate farthest from 0 is positive.
pub fn principal_components(vectors: &Tensor) -> Result<Option<Components>> {
    let size = vectors.size();
    if size[0] < 3 || size[1] < 2 {
        return Ok(None);
    }
    let vectors = vectors.detach().to_kind(Kind::Double);
    let centred = &vectors - vectors.mean_dim(0, true, Kind::Double);
    let (u, s, _) = centred.f_svd(true, true)?;
    let total = s.square().sum(Kind::Double).double_value(&[]);
    if !total.is_normal() {
        return Ok(None);
    }
    let axis = |at: i64| -> Result<Vec<f64>> {
        let along = u.select(1, at) * s.get(at);
        let farthest = along.get(along.abs().argmax(0, false).int64_value(&[])).double_value(&[]);
        Ok(Vec::try_from(along * farthest.signum())?)
    };
    let explained = [0, 1].map(|at| s.double_value(&[at]).powi(2) / total);
    Ok(Some(Components { points: axis(0)?.into_iter().zip(axis(1)?).collect(), explained }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_a_plane_keep_their_distances() {
        // A plane in three dimensions, rotated and moved away from 0.
        let flat = [(3.0, 0.0), (-3.0, 0.5), (1.0, -1.0), (-1.0, 0.5)];
        let (a, b) = ([0.6, 0.8, 0.0], [0.0, 0.0, 1.0]);
        let rows: Vec<f64> =
            flat.iter().flat_map(|&(x, y)| (0..3).map(move |axis| 7.0 + x * a[axis] + y * b[axis])).collect();
        let found = principal_components(&Tensor::from_slice(&rows).view([4, 3])).unwrap().unwrap();
        let distance = |a: (f64, f64), b: (f64, f64)| (a.0 - b.0).hypot(a.1 - b.1);
        for i in 0..4 {
            for j in 0..i {
                assert!((distance(found.points[i], found.points[j]) - distance(flat[i], flat[j])).abs() < 1e-9);
            }
        }
        assert!((found.explained[0] + found.explained[1] - 1.0).abs() < 1e-9 && found.explained[0] > 0.9);
    }

    #[test]
    fn the_shares_of_the_variance_are_those_of_numpy() {
        // numpy: s = svd(x - x.mean(0), compute_uv=False); s**2 / (s**2).sum()
        let rows = [2.0, 0.0, 1.0, 0.0, 1.0, 3.0, 1.0, 5.0, 2.0, 4.0, 1.0, 1.0, 0.5, 2.5, 2.0];
        let found = principal_components(&Tensor::from_slice(&rows).view([5, 3])).unwrap().unwrap();
        for (found, expected) in found.explained.into_iter().zip([0.655_815_849_550_292_6, 0.321_428_571_428_571_4]) {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
    }

    #[test]
    fn equal_vectors_have_no_components() {
        assert!(principal_components(&Tensor::ones([5, 4], (Kind::Float, tch::Device::Cpu))).unwrap().is_none());
        assert!(principal_components(&Tensor::from_slice(&[1.0, 2.0]).view([1, 2])).unwrap().is_none());
    }
}
