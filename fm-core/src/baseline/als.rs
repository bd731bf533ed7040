//! A factorization of the implicit feedback of users, by alternating least squares.

use tch::{Device, Kind, Tensor, no_grad};

use crate::error::{Error, Result};
use crate::ranking::{Interactions, ItemSets};
use crate::seed::split_mix;

/// The most slots of padded rows that are solved at once.
const SLOTS: usize = 1 << 16;

/// s(u, i) = ⟨x_u, y_i⟩ with the vectors that minimise
/// Σ_{u,i} c_ui (p_ui - ⟨x_u, y_i⟩)² + λ (Σ_u ‖x_u‖² + Σ_i ‖y_i‖²) over all pairs of a user and an item. p_ui = 1 and
/// the confidence c_ui = 1 + α if u chose i, otherwise p_ui = 0 and c_ui = 1.
///
/// A sweep solves for the vectors of all users, x_u = (Yᵀ Y + α Σ_{i chosen} y_i y_iᵀ + λ I)⁻¹ (1 + α) Σ_{i chosen} y_i,
/// and then in the same way for those of all items.
///
/// Source: Hu, Koren and Volinsky, Collaborative filtering for implicit feedback datasets, ICDM 2008, equations 3 to 5,
/// <https://doi.org/10.1109/ICDM.2008.22>. Their r_ui is 1 here: whether a user chose an item, not how often.
///
/// ```
/// use fm_core::baseline::{Als, AlsConfig};
/// use fm_core::ranking::Interactions;
///
/// // Users 0 and 1 chose the items 0 and 1, user 2 chose item 2.
/// let train = Interactions::new(3, vec![0, 0, 1, 1, 2], vec![0, 1, 0, 1, 2], &[1.0; 5])?;
/// let als = Als::fit(&train, &AlsConfig { factors: 2, lambda: 0.1, ..AlsConfig::default() })?;
/// let scores = als.scores(&[0])?;
/// assert!(scores[1] > 0.9 && scores[2].abs() < 0.1);
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Als {
    /// Y `[I + 1, k]`; the last row is 0.
    items: Tensor,
    config: AlsConfig,
}

/// The settings of [`Als`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlsConfig {
    /// k: the length of the vectors.
    pub factors: i64,
    /// λ, the penalty.
    pub lambda: f64,
    /// α, the additional confidence of an item that a user chose.
    pub alpha: f64,
    /// Number of sweeps.
    pub sweeps: usize,
}

impl Default for AlsConfig {
    /// The paper's α and number of sweeps, and its smallest k of 50. The paper chooses λ for each data set.
    fn default() -> AlsConfig {
        AlsConfig { factors: 50, lambda: 100.0, alpha: 40.0, sweeps: 10 }
    }
}

impl Als {
    /// The most positive rows: fitting more takes minutes.
    pub const MAX_ROWS: usize = 5_000_000;

    /// Fits the vectors to the positive rows of `train`. The time of a sweep is proportional to k² times the number of
    /// these rows plus k³ times the number of users and items.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings out of range.
    pub fn fit(train: &Interactions, config: &AlsConfig) -> Result<Als> {
        let AlsConfig { factors, lambda, alpha, .. } = *config;
        if !(1..=1024).contains(&factors) {
            return Err(Error::Setting(format!("ALS: the number of factors is {factors}: it must be 1 to 1024")));
        }
        if !(lambda > 0.0 && lambda.is_finite() && alpha >= 0.0 && alpha.is_finite()) {
            let found = format!("λ is {lambda} and α is {alpha}");
            return Err(Error::Setting(format!("ALS: {found}: λ must be positive and α not negative")));
        }
        let of_users = ItemSets::new(train.positive_pairs());
        let of_items = ItemSets::new(train.positive_pairs().map(|(user, item)| (item, user)));
        no_grad(|| {
            let mut items = first_vectors(train.num_items(), factors)?;
            for _ in 0..config.sweeps {
                let users = solve(&of_users, of_users.num_users(), &items, config)?;
                items = solve(&of_items, train.num_items(), &users, config)?;
            }
            Ok(Als { items, config: *config })
        })
    }

    /// The score of each item `[I]` for a user who chose `items`, whose vector is solved for. Items outside the catalogue
    /// are ignored.
    ///
    /// # Errors
    /// [`Error::Torch`] if memory is insufficient.
    pub fn scores(&self, items: &[u32]) -> Result<Vec<f32>> {
        let num_items = self.items.size()[0] - 1;
        let known = items.iter().filter(|&&item| i64::from(item) < num_items);
        let user = ItemSets::new(known.map(|&item| (0, item)));
        no_grad(|| {
            let vector = solve(&user, 1, &self.items, &self.config)?.f_narrow(0, 0, 1)?;
            let scores = self.items.f_narrow(0, 0, num_items)?.f_matmul(&vector.f_transpose(0, 1)?)?;
            Ok(Vec::try_from(scores.f_flatten(0, -1)?)?)
        })
    }
}

/// Small random vectors, and a row of zeros `[rows + 1, k]`.
fn first_vectors(rows: usize, factors: i64) -> Result<Tensor> {
    let uniform = |n: usize| (split_mix(1, n as u64) >> 40) as f32 / (1 << 24) as f32;
    let mut numbers: Vec<f32> = (0..rows * factors as usize).map(|n| 0.02 * (uniform(n) - 0.5)).collect();
    numbers.resize(numbers.len() + factors as usize, 0.0);
    Ok(Tensor::from_slice(&numbers).f_view([-1, factors])?)
}

/// The vectors of `rows` rows, whose sets of the other side's numbers are `sets`, and a row of zeros `[rows + 1, k]`.
/// The last row of `other` is 0.
fn solve(sets: &ItemSets, rows: usize, other: &Tensor, config: &AlsConfig) -> Result<Tensor> {
    let (zeros, k) = (other.size()[0] - 1, config.factors);
    let penalty = Tensor::f_eye(k, (Kind::Float, Device::Cpu))? * config.lambda;
    // Yᵀ Y + λ I
    let shared = other.f_transpose(0, 1)?.f_matmul(other)? + penalty;
    let solved = Tensor::f_zeros([rows as i64 + 1, k], (Kind::Float, Device::Cpu))?;
    let mut order: Vec<u32> = (0..rows as u32).filter(|&row| !sets.of(row).is_empty()).collect();
    // Rows of similar lengths need little padding.
    order.sort_by_key(|&row| sets.of(row).len());
    let mut left = &order[..];
    while let Some(&first) = left.first() {
        let fits = |&(at, &row): &(usize, &u32)| (at + 1) * sets.of(row).len() <= SLOTS;
        let number = left.iter().enumerate().take_while(fits).count().max(1);
        let (now, later) = left.split_at(number);
        left = later;
        let length = sets.of(*now.last().unwrap_or(&first)).len();
        let padded = now.iter().flat_map(|&row| {
            let chosen = sets.of(row).iter().map(|&item| i64::from(item));
            chosen.chain(std::iter::repeat(zeros)).take(length)
        });
        let ids = Tensor::from_slice(&padded.collect::<Vec<i64>>());
        // The vectors that a row has chosen [B, L, k].
        let chosen = other.f_index_select(0, &ids)?.f_view([number as i64, length as i64, k])?;
        let left_side = &shared + chosen.f_transpose(1, 2)?.f_bmm(&chosen)? * config.alpha;
        let right_side = chosen.f_sum_dim_intlist(1, false, Kind::Float)?.f_unsqueeze(-1)? * (1.0 + config.alpha);
        let vectors = right_side.f_cholesky_solve(&left_side.f_linalg_cholesky(false)?, false)?.f_squeeze_dim(-1)?;
        let places: Vec<i64> = now.iter().map(|&row| i64::from(row)).collect();
        let _ = solved.shallow_clone().f_index_copy_(0, &Tensor::from_slice(&places), &vectors)?;
    }
    Ok(solved)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USERS: u32 = 6;
    const ITEMS: usize = 5;
    const FACTORS: usize = 2;

    type Vectors = Vec<[f64; FACTORS]>;

    fn dot(a: &[f64; FACTORS], b: &[f64; FACTORS]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    /// The vector x that minimises Σ_i c_i (p_i - ⟨x, y_i⟩)² + λ ‖x‖² for k = 2, by Cramer's rule.
    fn naive(y: &Vectors, has: impl Fn(usize) -> bool, config: &AlsConfig) -> [f64; FACTORS] {
        let (mut a, mut b) = ([[config.lambda, 0.0], [0.0, config.lambda]], [0.0; FACTORS]);
        for (i, y) in y.iter().enumerate() {
            let (p, c) = if has(i) { (1.0, 1.0 + config.alpha) } else { (0.0, 1.0) };
            for d in 0..FACTORS {
                (0..FACTORS).for_each(|e| a[d][e] += c * y[d] * y[e]);
                b[d] += c * p * y[d];
            }
        }
        let determinant = a[0][0] * a[1][1] - a[0][1] * a[1][0];
        [(b[0] * a[1][1] - a[0][1] * b[1]) / determinant, (a[0][0] * b[1] - b[0] * a[1][0]) / determinant]
    }

    proptest! {
        #[test]
        fn it_equals_its_formula_over_all_pairs(
            rows in prop::collection::vec((0..USERS, 0u32..ITEMS as u32), 0..25),
            lambda in prop_oneof![Just(0.5), Just(5.0)],
            chosen in prop::collection::vec(0u32..ITEMS as u32, 0..4),
            sweeps in 0usize..4,
        ) {
            let (users, items): (Vec<u32>, Vec<u32>) = rows.iter().copied().unzip();
            let train = Interactions::new(ITEMS, users, items, &vec![1.0; rows.len()]).unwrap();
            let config = AlsConfig { factors: FACTORS as i64, lambda, alpha: 3.0, sweeps };
            let numbers = Vec::<f32>::try_from(first_vectors(ITEMS, 2).unwrap().flatten(0, -1)).unwrap();
            let first = numbers.chunks(FACTORS).take(ITEMS).map(|y| [f64::from(y[0]), f64::from(y[1])]);
            let mut y: Vectors = first.collect();
            for _ in 0..sweeps {
                let has = |user: u32, item: usize| rows.contains(&(user, item as u32));
                let x: Vectors = (0..USERS).map(|user| naive(&y, |item| has(user, item), &config)).collect();
                y = (0..ITEMS).map(|item| naive(&x, |user| has(user as u32, item), &config)).collect();
            }
            let x = naive(&y, |item| chosen.contains(&(item as u32)), &config);
            let found = Als::fit(&train, &config).unwrap().scores(&chosen).unwrap();
            prop_assert_eq!(found.len(), ITEMS);
            for (found, y) in found.iter().zip(&y) {
                prop_assert!((f64::from(*found) - dot(&x, y)).abs() < 1e-4, "{found} and {}", dot(&x, y));
            }
        }
    }

    #[test]
    fn long_rows_are_solved_in_parts_as_short_ones_are() {
        // A user with more items than fit at once, after one with a single item.
        let n = SLOTS as u32 + 3;
        let (users, items): (Vec<u32>, Vec<u32>) = [(0, 7)].into_iter().chain((0..n).map(|item| (1, item))).unzip();
        let train = Interactions::new(n as usize, users, items, &vec![1.0; n as usize + 1]).unwrap();
        let config = AlsConfig { factors: 2, lambda: 0.5, alpha: 3.0, sweeps: 2 };
        let scores = Als::fit(&train, &config).unwrap().scores(&[7]).unwrap();
        assert!(scores[7] > 0.5 && scores.iter().all(|score| score.is_finite()));
    }

    #[test]
    fn settings_out_of_range_are_refused_and_an_empty_catalogue_has_no_scores() {
        let none = Interactions::new(0, vec![], vec![], &[]).unwrap();
        let refused = |config: AlsConfig| Als::fit(&none, &config).unwrap_err().to_string();
        let of = AlsConfig::default();
        assert!(refused(AlsConfig { factors: 0, ..of }).contains("factors is 0: it must be 1 to 1024"));
        assert!(refused(AlsConfig { lambda: f64::NAN, ..of }).contains("λ must be positive"));
        assert!(refused(AlsConfig { alpha: -1.0, ..of }).contains("α is -1"));
        assert!(Als::fit(&none, &of).unwrap().scores(&[3]).unwrap().is_empty());
    }
}
