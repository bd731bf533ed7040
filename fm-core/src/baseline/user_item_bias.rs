//! Deviations of users and items from the mean.

use crate::schema::Label;

/// μ + b_u + b_i: the mean label plus the regularised deviations of the user and the item.
///
/// Source: Koren, Factor in the neighbors: scalable and accurate collaborative filtering, TKDD 2010, section 2.1,
/// <https://doi.org/10.1145/1644873.1644874>; fitted by alternating least squares with Surprise's constants.
#[derive(Clone, Debug)]
pub struct UserItemBias {
    mean: f64,
    users: Vec<f64>,
    items: Vec<f64>,
}

/// Regularisation of a user's deviation: the equivalent number of ratings at the mean.
const SHRINK_USER: f64 = 15.0;
/// Regularisation of an item's deviation.
const SHRINK_ITEM: f64 = 10.0;
const ROUNDS: usize = 10;

impl UserItemBias {
    /// Fits the deviations to rows of user id, item id and label, each `[N]`, with optional `weights` `[N]`. Negative
    /// ids and ids that do not occur here have no deviation.
    ///
    /// # Panics
    /// If the lengths of the slices differ.
    ///
    /// ```
    /// use fm_core::baseline::UserItemBias;
    /// use fm_core::{Label, Task};
    ///
    /// let label = Label::fit("rating", Task::Regression, [5.0, 4.0, 2.0, 1.0]);
    /// let fitted = UserItemBias::fit(&[0, 0, 1, 1], &[0, 1, 0, 1], &[5.0, 4.0, 2.0, 1.0], None);
    /// assert!(fitted.logit(&label, 0, 0) > fitted.logit(&label, 1, 1));
    /// assert_eq!(fitted.logit(&label, 9, 9), 3.0);
    /// ```
    pub fn fit(users: &[i32], items: &[i32], labels: &[f32], weights: Option<&[f32]>) -> UserItemBias {
        assert!(users.len() == labels.len() && items.len() == labels.len(), "a user and an item for each label");
        assert!(weights.is_none_or(|weights| weights.len() == labels.len()), "a weight for each label");
        let weight = |row: usize| weights.map_or(1.0, |weights| f64::from(weights[row]));
        let size = |ids: &[i32]| ids.iter().max().map_or(0, |&max| max.max(-1) as usize + 1);
        let (sum, total) = labels
            .iter()
            .enumerate()
            .fold((0.0, 0.0), |(sum, total), (row, &y)| (sum + weight(row) * f64::from(y), total + weight(row)));
        let mean = if total > 0.0 { sum / total } else { 0.0 };
        let mut fitted = UserItemBias { mean, users: vec![0.0; size(users)], items: vec![0.0; size(items)] };
        for _ in 0..ROUNDS {
            fitted.items = deviations(items, fitted.items.len(), SHRINK_ITEM, weight, |row| {
                f64::from(labels[row]) - mean - at(&fitted.users, users[row])
            });
            fitted.users = deviations(users, fitted.users.len(), SHRINK_USER, weight, |row| {
                f64::from(labels[row]) - mean - at(&fitted.items, items[row])
            });
        }
        fitted
    }

    /// The prediction as a logit of the task, for [`crate::metric::metrics`].
    pub fn logit(&self, label: &Label, user: i32, item: i32) -> f32 {
        let prediction = self.mean + at(&self.users, user) + at(&self.items, item);
        match label.range() {
            Some(_) => prediction as f32,
            None => {
                let p = prediction.clamp(0.01, 0.99);
                (p / (1.0 - p)).ln() as f32
            }
        }
    }
}

fn at(deviations: &[f64], id: i32) -> f64 {
    usize::try_from(id).ok().and_then(|id| deviations.get(id)).copied().unwrap_or(0.0)
}

/// Σ weight · residual / (shrink + Σ weight) for each id.
fn deviations(
    ids: &[i32],
    size: usize,
    shrink: f64,
    weight: impl Fn(usize) -> f64,
    residual: impl Fn(usize) -> f64,
) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); size];
    for (row, &id) in ids.iter().enumerate() {
        if let Some(sum) = usize::try_from(id).ok().and_then(|id| sums.get_mut(id)) {
            sum.0 += weight(row) * residual(row);
            sum.1 += weight(row);
        }
    }
    sums.into_iter().map(|(sum, n)| sum / (shrink + n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Task;

    #[test]
    fn deviations_add_up_and_unknown_ids_get_the_mean() {
        let label = Label { column: "r".into(), task: Task::Regression, min: 1.0, max: 5.0, mean: 3.0 };
        let (mut users, mut items, mut ratings) = (vec![], vec![], vec![]);
        for user in 0..50 {
            for item in 0..50 {
                users.push(user);
                items.push(item);
                ratings.push(3.0 + f32::from(user % 2 == 0) + f32::from(item % 2 == 0) - 1.0);
            }
        }
        let fitted = UserItemBias::fit(&users, &items, &ratings, None);
        let shrunk = 0.5 * 50.0 / 65.0 + 0.5 * 50.0 / 60.0;
        assert!((f64::from(fitted.logit(&label, 0, 0)) - 3.0 - shrunk).abs() < 0.05);
        assert!(fitted.logit(&label, 0, 0) > fitted.logit(&label, 1, 0));
        assert_eq!(fitted.logit(&label, -1, 99), 3.0);
    }

    #[test]
    fn a_row_of_weight_two_counts_twice_and_one_of_weight_zero_is_ignored() {
        let label = Label { column: "r".into(), task: Task::Regression, min: 1.0, max: 5.0, mean: 3.0 };
        let weighted = UserItemBias::fit(&[0, 1, 2], &[0, 1, 0], &[5.0, 2.0, 1.0], Some(&[2.0, 1.0, 0.0]));
        let repeated = UserItemBias::fit(&[0, 0, 1], &[0, 0, 1], &[5.0, 5.0, 2.0], None);
        for (user, item) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)] {
            assert_eq!(weighted.logit(&label, user, item), repeated.logit(&label, user, item));
        }
    }
}
