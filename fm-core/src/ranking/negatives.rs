//! Negatives: items that a user is not known to have chosen.

use rand::RngExt;
use rand_pcg::Pcg64;

use super::config::{RankingConfig, SamplerKind};
use super::interactions::{Interactions, ItemSets};

/// Maximum number of draws that are known positives. After that, all allowed items are enumerated, which is slow but
/// always ends.
const TRIES: usize = 20;

/// Draws negatives for positive rows: never the row's item or another known positive of its user.
#[derive(Clone, Debug)]
pub struct NegativeSampler {
    is_in_batch: bool,
    /// The positive items of the training rows of each user.
    known: ItemSets,
    /// `[I]`: the unnormalised probability of each item.
    weights: Vec<f64>,
    /// The cumulative sums of the weights.
    cumulative: Vec<f64>,
}

impl NegativeSampler {
    /// A sampler for the items of the catalogue, given the positive rows of `train`.
    pub fn new(config: &RankingConfig, train: &Interactions) -> NegativeSampler {
        let exponent = match config.sampler {
            SamplerKind::Uniform => 0.0,
            SamplerKind::Popularity => config.popularity_exponent,
            SamplerKind::InBatch => 1.0,
        };
        let counts = train.counts();
        let weights: Vec<f64> = counts.into_iter().map(|count| f64::from(count.max(1)).powf(exponent)).collect();
        let mut sum = 0.0;
        let add = |weight: &f64| {
            sum += weight;
            sum
        };
        let cumulative = weights.iter().map(add).collect();
        let known = ItemSets::new(train.positive_pairs());
        NegativeSampler { is_in_batch: config.sampler == SamplerKind::InBatch, known, weights, cumulative }
    }

    /// ln Q(i): the log-probability that a draw from the catalogue gives the item.
    pub fn log_q(&self, item: u32) -> f32 {
        let total = self.cumulative.last().copied().unwrap_or_default();
        self.weights.get(item as usize).map_or(f32::NEG_INFINITY, |weight| (weight / total).ln() as f32)
    }

    /// Whether a row has any negative.
    pub fn has_negative(&self, user: u32, item: u32) -> bool {
        let known = self.known.of(user).len();
        let own = usize::from(!self.known.contains(user, item));
        known + own < self.weights.len()
    }

    /// `n` negatives for each row of a batch `[B · n]`, drawn independently. If the batch has no negative for a row,
    /// they are drawn from the catalogue in the same proportions. A row without any negative
    /// ([`NegativeSampler::has_negative`]) gets its own item.
    pub fn draw(&self, users: &[u32], items: &[u32], n: usize, generator: &mut Pcg64) -> Vec<u32> {
        let mut drawn = Vec::with_capacity(items.len() * n);
        for (&user, &item) in users.iter().zip(items) {
            let is_negative = |&other: &u32| other != item && !self.known.contains(user, other);
            for _ in 0..n {
                let negative = match self.is_in_batch {
                    true => from_batch(items, is_negative, generator),
                    false => (0..TRIES).map(|_| self.any_item(generator)).find(is_negative),
                };
                let negative = negative.or_else(|| self.one_of(is_negative, generator));
                drawn.push(negative.unwrap_or(item));
            }
        }
        drawn
    }

    /// Any item, in proportion to its weight.
    fn any_item(&self, generator: &mut Pcg64) -> u32 {
        let total = self.cumulative.last().copied().unwrap_or_default();
        let at = generator.random::<f64>() * total;
        let item = self.cumulative.partition_point(|&sum| sum <= at);
        // Rounding may increase the product to the total.
        item.min(self.weights.len() - 1) as u32
    }

    /// One of the allowed items, in proportion to its weight.
    fn one_of(&self, is_allowed: impl Fn(&u32) -> bool, generator: &mut Pcg64) -> Option<u32> {
        let allowed = || (0..self.weights.len() as u32).filter(&is_allowed);
        let total: f64 = allowed().map(|item| self.weights[item as usize]).sum();
        let mut left = generator.random::<f64>() * total;
        let reaches = |&item: &u32| {
            left -= self.weights[item as usize];
            left < 0.0
        };
        allowed().find(reaches).or_else(|| allowed().last())
    }
}

/// One of the allowed items of a batch, uniformly over its rows.
fn from_batch(items: &[u32], is_allowed: impl Fn(&u32) -> bool, generator: &mut Pcg64) -> Option<u32> {
    let any = |generator: &mut Pcg64| items[generator.random_range(0..items.len() as u32) as usize];
    let found = (0..TRIES).map(|_| any(generator)).find(&is_allowed);
    found.or_else(|| {
        let allowed: Vec<u32> = items.iter().copied().filter(&is_allowed).collect();
        (!allowed.is_empty()).then(|| allowed[generator.random_range(0..allowed.len() as u32) as usize])
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::interactions::NONE;
    use super::*;
    use crate::seed::{Stream, generator};

    fn config(sampler: SamplerKind) -> RankingConfig {
        RankingConfig { sampler, ..RankingConfig::default() }
    }

    fn interactions(num_items: usize, pairs: &[(u32, u32)]) -> Interactions {
        let (users, items): (Vec<u32>, Vec<u32>) = pairs.iter().copied().unzip();
        let targets = vec![1.0; users.len()];
        Interactions::new(num_items, users, items, &targets).unwrap()
    }

    const KINDS: [SamplerKind; 3] = [SamplerKind::Uniform, SamplerKind::Popularity, SamplerKind::InBatch];

    proptest! {
        #[test]
        fn no_negative_is_a_known_positive_of_its_user(
            pairs in prop::collection::vec((prop_oneof![0u32..4, Just(NONE)], 0u32..6), 1..30), kind in 0usize..3, seed: u64,
        ) {
            let train = interactions(6, &pairs);
            let sampler = NegativeSampler::new(&config(KINDS[kind]), &train);
            let drawn = sampler.draw(train.users(), train.items(), 5, &mut generator(seed, Stream::Negatives(1)));
            prop_assert_eq!(drawn.len(), 5 * pairs.len());
            for (negatives, &(user, item)) in drawn.chunks(5).zip(&pairs) {
                let is_known = |other: u32| other == item || (user != NONE && pairs.contains(&(user, other)));
                prop_assert_eq!(sampler.has_negative(user, item), (0..6).any(|other| !is_known(other)));
                for &negative in negatives {
                    prop_assert!(negative < 6);
                    prop_assert!(!is_known(negative) || !sampler.has_negative(user, item));
                }
            }
        }
    }

    /// χ² of 20,000 negatives of a batch's first row against the weights of the items.
    fn chi_squared(sampler: &NegativeSampler, batch: &[u32], weights: [f64; 6]) -> f64 {
        let n = 20_000;
        let drawn = sampler.draw(&vec![NONE; batch.len()], batch, n, &mut generator(1, Stream::Negatives(1)));
        let mut chi_squared = 0.0;
        for (item, weight) in weights.iter().enumerate() {
            let expected = weight / weights.iter().sum::<f64>() * n as f64;
            let found = drawn[..n].iter().filter(|&&drawn| drawn as usize == item).count() as f64;
            match expected {
                0.0 => assert_eq!(found, 0.0, "item {item}"),
                expected => chi_squared += (found - expected).powi(2) / expected,
            }
        }
        chi_squared
    }

    #[test]
    fn negatives_follow_their_distribution() {
        /// The 99.9 % quantile of χ² with 4 degrees of freedom, from a table: five items can be drawn.
        const QUANTILE: f64 = 18.47;
        // Item 0 is the row's own; the others have 0, 1, 4, 16 and 81 rows.
        let rows = [(1, 0), (2, 1), (3, 4), (4, 16), (5, 81)];
        let train = interactions(6, &rows.map(|(item, rows)| vec![(7, item); rows]).concat());
        let uniform = [0.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        let popularity = [0.0, 1.0, 1.0, 8f64.sqrt(), 8.0, 27.0]; // 1, 1, 4, 16 and 81 to the power of 3/4
        // A batch of the items 1 to 5, once, twice, ..., and a batch of only the item, which falls back to the
        // catalogue.
        let batch = [0, 1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 5];
        let cases = [
            (SamplerKind::Uniform, &batch[..1], uniform),
            (SamplerKind::Popularity, &batch[..], popularity),
            (SamplerKind::InBatch, &batch[..], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
            (SamplerKind::InBatch, &batch[..1], [0.0, 1.0, 1.0, 4.0, 16.0, 81.0]),
        ];
        for (kind, batch, weights) in cases {
            let sampler = NegativeSampler::new(&config(kind), &train);
            assert!(chi_squared(&sampler, batch, weights) < QUANTILE, "{kind:?} of {batch:?}");
        }
        let other = NegativeSampler::new(&config(SamplerKind::Popularity), &train);
        assert!(chi_squared(&other, &batch, uniform) > QUANTILE);
    }

    #[test]
    fn negatives_depend_only_on_seed_and_step() {
        let train = interactions(1000, &[(0, 0), (1, 1), (2, 2)]);
        let sampler = NegativeSampler::new(&config(SamplerKind::Uniform), &train);
        let draw =
            |seed, step| sampler.draw(train.users(), train.items(), 20, &mut generator(seed, Stream::Negatives(step)));
        assert_eq!(draw(1, 7), draw(1, 7));
        assert_ne!(draw(1, 7), draw(1, 8));
        assert_ne!(draw(1, 7), draw(2, 7));
    }

    #[test]
    fn a_user_who_has_all_but_one_item_always_gets_that_one() {
        let pairs: Vec<(u32, u32)> = (0..5000).filter(|&item| item != 4321).map(|item| (0, item)).collect();
        let train = interactions(5000, &pairs);
        for kind in KINDS {
            let sampler = NegativeSampler::new(&config(kind), &train);
            assert_eq!(sampler.draw(&[0], &[0], 4, &mut generator(3, Stream::Negatives(1))), [4321; 4], "{kind:?}");
        }
    }

    #[test]
    fn q_is_the_share_of_the_draws() {
        let train = interactions(3, &[(0, 0), (1, 0), (2, 0), (0, 1)]);
        let of = |kind| {
            let sampler = NegativeSampler::new(&config(kind), &train);
            [0, 1, 2].map(|item| f64::from(sampler.log_q(item)).exp())
        };
        let same = |found: [f64; 3], expected: [f64; 3]| found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(same(of(SamplerKind::Uniform), [1.0 / 3.0; 3]));
        assert!(same(of(SamplerKind::InBatch), [0.6, 0.2, 0.2]));
        let power = 3f64.powf(0.75);
        assert!(same(of(SamplerKind::Popularity), [power, 1.0, 1.0].map(|weight| weight / (power + 2.0))));
    }
}
