//! Losses that compare the item of each row with negatives.

use tch::{Kind, Tensor};

use crate::error::{Error, Result};

/// Bayesian personalized ranking: the mean of -ln σ(s⁺ - s⁻) over a row's negatives.
///
/// # Shapes
/// `scores` `[B, 1 + n]`, the positive item first in each row → `[B]`
///
/// Source: Rendle, Freudenthaler, Gantner and Schmidt-Thieme, BPR: Bayesian personalized ranking from implicit
/// feedback, UAI 2009, section 4.1, <https://arxiv.org/abs/1205.2618>. The optimiser adds the regularisation.
///
/// # Errors
/// [`Error::Shape`] for another shape, or no negatives.
///
/// ```
/// use fm_core::ranking::bpr;
/// use fm_core::tch::Tensor;
///
/// let scores = Tensor::from_slice(&[2f32, 2.0, 1.0]).view([1, 3]);
/// let expected = (2f64.ln() + (1.0 + (-1f64).exp()).ln()) / 2.0; // of a difference of 0 and of one of 1
/// assert!((bpr(&scores)?.double_value(&[0]) - expected).abs() < 1e-6);
/// # Ok::<(), fm_core::Error>(())
/// ```
pub fn bpr(scores: &Tensor) -> Result<Tensor> {
    let negatives = check(scores)?;
    let difference = scores.narrow(1, 0, 1) - scores.narrow(1, 1, negatives);
    Ok(-difference.log_sigmoid().mean_dim(1, false, Kind::Float))
}

/// Sampled softmax: -ln(e^{s̃⁺} / Σ_i e^{s̃_i}) with s̃_i = s_i - ln Q(i). The sum runs over the positive item and the
/// negatives, which are drawn with the probabilities Q. This estimates the softmax over all items. A constant factor of
/// Q cancels out.
///
/// # Shapes
/// `scores` `[B, 1 + n]`, the positive item first in each row, and `log_q` of the same items → `[B]`
///
/// Source: Bengio and Senécal, Adaptive importance sampling to accelerate training of a neural probabilistic language
/// model, IEEE Transactions on Neural Networks 2008, <https://doi.org/10.1109/TNN.2007.912312>; in this form, which
/// also corrects the positive item: Yi et al., Sampling-bias-corrected neural modeling for large corpus item
/// recommendations, RecSys 2019, section 3, <https://doi.org/10.1145/3298689.3346996>.
///
/// # Errors
/// [`Error::Shape`] for other shapes, or no negatives.
///
/// ```
/// use fm_core::ranking::sampled_softmax;
/// use fm_core::tch::Tensor;
///
/// let scores = Tensor::from_slice(&[3f32, 3.0]).view([1, 2]);
/// let log_q = Tensor::from_slice(&[0f32, 2f32.ln()]).view([1, 2]); // the negative is drawn twice as often
/// let loss = sampled_softmax(&scores, &log_q)?.double_value(&[0]);
/// assert!((loss - 1.5f64.ln()).abs() < 1e-6); // and counts half: -ln(1 / (1 + 1/2))
/// # Ok::<(), fm_core::Error>(())
/// ```
pub fn sampled_softmax(scores: &Tensor, log_q: &Tensor) -> Result<Tensor> {
    check(scores)?;
    if log_q.size() != scores.size() {
        let found = format!("{:?}", log_q.size());
        return Err(Error::shape("sampled_softmax", format!("log_q of shape {:?}", scores.size()), found));
    }
    Ok(-(scores - log_q).log_softmax(1, Kind::Float).select(1, 0))
}

/// Weighted approximate-rank pairwise loss: L(⌊(N - 1) / t⌋) (1 - s⁺ + s_t), where t is the place of the first negative
/// whose score is within a margin of 1 of the positive item's, N the number of items, and L(r) = 1 + 1/2 + ... + 1/r.
/// The fewer negatives it takes to find one, the lower the positive item's rank is estimated to be. Without one, the
/// loss is 0.
///
/// # Shapes
/// `scores` `[B, 1 + n]`, the positive item first in each row → `[B]`
///
/// Source: Weston, Bengio and Usunier, WSABIE: scaling up to large vocabulary image annotation, IJCAI 2011, section 3,
/// <https://www.ijcai.org/Proceedings/11/Papers/460.pdf>, with at most n draws.
///
/// # Errors
/// [`Error::Shape`] for another shape, or no negatives.
///
/// ```
/// use fm_core::ranking::warp;
/// use fm_core::tch::Tensor;
///
/// let scores = Tensor::from_slice(&[2f32, 0.5, 1.5]).view([1, 3]);
/// // The second of two negatives is within the margin. Of 7 items, about 3 are ranked above the positive one.
/// assert!((warp(&scores, 7)?.double_value(&[0]) - (1.0 + 1.0 / 2.0 + 1.0 / 3.0) * 0.5).abs() < 1e-6);
/// # Ok::<(), fm_core::Error>(())
/// ```
pub fn warp(scores: &Tensor, items: usize) -> Result<Tensor> {
    let n = check(scores)?;
    let of_places: Vec<f32> = (1..=n as usize).map(|t| harmonic(items.saturating_sub(1) / t) as f32).collect();
    let of_places = Tensor::from_slice(&of_places).to_device(scores.device());
    let margins = scores.narrow(1, 1, n) - scores.narrow(1, 0, 1) + 1.0;
    // The earlier a negative, the larger its number.
    let numbers = Tensor::arange_start_step(n, 0, -1, (Kind::Float, scores.device()));
    let first = (margins.gt(0.0) * numbers).argmax(1, true);
    let losses = margins.gather(1, &first, false).clamp_min(0.0).squeeze_dim(1);
    Ok(losses * of_places.take(&first.squeeze_dim(1)))
}

/// 1 + 1/2 + ... + 1/n, for a large n by its asymptotic series, whose error is below 10⁻⁸.
fn harmonic(n: usize) -> f64 {
    const EULER: f64 = 0.577_215_664_901_532_9;
    match n {
        0..32 => (1..=n).map(|i| 1.0 / i as f64).sum(),
        _ => (n as f64).ln() + EULER + 0.5 / n as f64 - 1.0 / (12.0 * (n as f64).powi(2)),
    }
}

/// The number of negatives.
fn check(scores: &Tensor) -> Result<i64> {
    match scores.size()[..] {
        [rows, columns] if rows > 0 && columns > 1 => Ok(columns - 1),
        _ => {
            let found = format!("{:?}", scores.size());
            Err(Error::shape("ranking loss", "scores of shape [B, 1 + n], B ≥ 1, n ≥ 1", found))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tch::Device;

    use super::*;

    fn tensor(rows: &[Vec<f64>]) -> Tensor {
        let flat: Vec<f32> = rows.concat().into_iter().map(|x| x as f32).collect();
        Tensor::from_slice(&flat).view([rows.len() as i64, -1])
    }

    const ITEMS: usize = 9;

    proptest! {
        #[test]
        fn the_losses_equal_their_formulas(
            (rows, log_q) in (1usize..5, 2usize..6).prop_flat_map(|(rows, columns)| {
                let matrix = |range| prop::collection::vec(prop::collection::vec(range, columns), rows);
                (matrix(-4.0..4.0), matrix(-9.0..0.0))
            }),
        ) {
            let scores = tensor(&rows);
            let (pairs, softmax) = (bpr(&scores).unwrap(), sampled_softmax(&scores, &tensor(&log_q)).unwrap());
            let ranks = warp(&scores, ITEMS).unwrap();
            prop_assert_eq!((pairs.size(), softmax.size()), (vec![rows.len() as i64], vec![rows.len() as i64]));
            for (row, (scores, log_q)) in (0..).zip(rows.iter().zip(&log_q)) {
                let (positive, negatives) = (scores[0], &scores[1..]);
                let sum: f64 = negatives.iter().map(|&negative| f64::ln_1p(f64::exp(negative - positive))).sum();
                let expected = sum / negatives.len() as f64;
                prop_assert!((pairs.double_value(&[row]) - expected).abs() < 1e-5);
                let weight = |i: usize| f64::exp(scores[i] - log_q[i]);
                let expected = -(weight(0) / (0..scores.len()).map(weight).sum::<f64>()).ln();
                prop_assert!((softmax.double_value(&[row]) - expected).abs() < 1e-5 * (1.0 + expected));
                let first = negatives.iter().position(|&negative| 1.0 - positive + negative > 0.0);
                let expected = first.map_or(0.0, |at| {
                    let rank = (ITEMS - 1) / (at + 1);
                    (1..=rank).map(|i| 1.0 / i as f64).sum::<f64>() * (1.0 - positive + negatives[at])
                });
                prop_assert!((ranks.double_value(&[row]) - expected).abs() < 1e-5 * (1.0 + expected));
            }
        }
    }

    #[test]
    fn harmonic_numbers_are_sums() {
        for n in [0, 1, 31, 32, 1000] {
            let expected: f64 = (1..=n).map(|i| 1.0 / i as f64).sum();
            assert!((harmonic(n) - expected).abs() < 1e-8, "{n}");
        }
    }

    #[test]
    fn losses_are_finite_for_extreme_scores() {
        let scores = tensor(&[vec![-200.0, 200.0], vec![200.0, -200.0]]);
        for losses in [bpr(&scores).unwrap(), sampled_softmax(&scores, &scores.zeros_like()).unwrap()] {
            assert_eq!(Vec::<f32>::try_from(losses).unwrap(), [400.0, 0.0]);
        }
    }

    #[test]
    fn scores_without_a_negative_or_of_other_items_are_errors() {
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        assert!(bpr(&zeros(&[2, 1])).unwrap_err().to_string().contains("n ≥ 1, found [2, 1]"));
        assert!(bpr(&zeros(&[4])).is_err() && bpr(&zeros(&[0, 3])).is_err() && warp(&zeros(&[2, 1]), ITEMS).is_err());
        assert!(sampled_softmax(&zeros(&[2, 3]), &zeros(&[2, 2])).unwrap_err().to_string().contains("[2, 2]"));
    }
}
