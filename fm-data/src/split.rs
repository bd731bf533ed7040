//! Splits rows into a training, a validation and a test part.
//!
//! Random splits use a Fisher-Yates shuffle with a `Pcg64` generator and the seed of the run: the same seed gives the
//! same parts on every machine.

use std::fmt;
use std::str::FromStr;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;

use crate::error::{Error, Result};
use crate::timelines::Timelines;

const FORMS: &str = "random, random:VALID:TEST (shares, such as random:0.1:0.1), leave-last-out, time, \
                     time:VALID:TEST, fold:NAME (such as fold:u1), kfold:K:INDEX (such as kfold:5:0), kfold:K:INDEX:VALID";

/// The default share of validation rows and of test rows.
const SHARE: f64 = 0.1;

/// A way to split the rows. Its text form is `random`, `random:0.1:0.1`, `leave-last-out`, `time`, `time:0.1:0.1`,
/// `fold:u1`, `kfold:5:0` or `kfold:5:0:0.2`.
#[derive(Clone, Debug, PartialEq)]
pub enum Split {
    /// Rows drawn at random.
    Random {
        /// The share of the validation rows.
        valid: f64,
        /// The share of the test rows.
        test: f64,
    },
    /// The last row of each user with at least three rows, by (timestamp, row number), tests; the one before validates.
    /// Rows without a user train.
    LeaveLastOut,
    /// The last rows of all, by (timestamp, row number), test; those before validate.
    Time {
        /// The share of the validation rows.
        valid: f64,
        /// The share of the test rows.
        test: f64,
    },
    /// An official fold of the data. A random tenth of its training rows validates.
    Fold(String),
    /// Fold `index` of `k` folds of a random permutation tests. A random share of the other rows validates, by default
    /// a tenth.
    KFold {
        /// The number of folds.
        k: u32,
        /// The test fold, from 0.
        index: u32,
        /// The share of the other rows that validates.
        valid: f64,
    },
}

impl Default for Split {
    fn default() -> Split {
        Split::Random { valid: SHARE, test: SHARE }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let shares = |f: &mut fmt::Formatter, name: &str, valid: f64, test: f64| {
            if (valid, test) == (SHARE, SHARE) { write!(f, "{name}") } else { write!(f, "{name}:{valid}:{test}") }
        };
        match self {
            Split::Random { valid, test } => shares(f, "random", *valid, *test),
            Split::LeaveLastOut => write!(f, "leave-last-out"),
            Split::Time { valid, test } => shares(f, "time", *valid, *test),
            Split::Fold(name) => write!(f, "fold:{name}"),
            Split::KFold { k, index, valid: SHARE } => write!(f, "kfold:{k}:{index}"),
            Split::KFold { k, index, valid } => write!(f, "kfold:{k}:{index}:{valid}"),
        }
    }
}

impl FromStr for Split {
    type Err = Error;

    fn from_str(text: &str) -> Result<Split> {
        let invalid =
            |reason: &str| Error::Split { split: text.into(), reason: format!("{reason}; the forms are {FORMS}") };
        let shares = |valid: &str, test: &str| match (valid.parse::<f64>(), test.parse::<f64>()) {
            (Ok(valid), Ok(test)) if valid >= 0.0 && test >= 0.0 && valid + test < 1.0 => Ok((valid, test)),
            _ => Err(invalid("the shares must be two numbers of at least 0 whose sum is less than 1")),
        };
        match text.split(':').collect::<Vec<_>>()[..] {
            ["random"] => Ok(Split::Random { valid: SHARE, test: SHARE }),
            ["random", valid, test] => shares(valid, test).map(|(valid, test)| Split::Random { valid, test }),
            ["leave-last-out"] => Ok(Split::LeaveLastOut),
            ["time"] => Ok(Split::Time { valid: SHARE, test: SHARE }),
            ["time", valid, test] => shares(valid, test).map(|(valid, test)| Split::Time { valid, test }),
            ["fold", name] if !name.is_empty() => Ok(Split::Fold(name.into())),
            ["kfold", k, index, ref valid @ ..] if valid.len() < 2 => {
                let valid = valid.first().map_or(Ok(SHARE), |valid| shares(valid, "0").map(|(valid, _)| valid))?;
                match (k.parse::<u32>(), index.parse::<u32>()) {
                    (Ok(k), Ok(index)) if k >= 2 && index < k => Ok(Split::KFold { k, index, valid }),
                    _ => Err(invalid("K must be at least 2, and INDEX from 0 to K - 1")),
                }
            }
            _ => Err(invalid("unknown split")),
        }
    }
}

/// The columns that a split can need.
#[derive(Clone, Copy, Debug, Default)]
pub struct SplitColumns<'a> {
    /// The code of each row's user ([`codes`](crate::table::codes)).
    pub users: Option<&'a [u32]>,
    /// The time of each row.
    pub timestamps: Option<&'a [i64]>,
    /// The training rows and the test rows of the fold that [`Split::Fold`] names.
    pub fold: Option<(&'a [u32], &'a [u32])>,
}

/// The row numbers of each part, ascending. Each row is in exactly one part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The training rows. Never empty.
    pub train: Vec<u32>,
    /// The rows that choose the best epoch.
    pub valid: Vec<u32>,
    /// The rows that measure the final model.
    pub test: Vec<u32>,
}

impl Split {
    /// The split that tests on fold `index` of `k`. Its share of validation rows is that of this split if its
    /// validation rows are random, and a tenth otherwise.
    pub fn fold(&self, k: u32, index: u32) -> Split {
        let valid = if let Split::Random { valid, .. } | Split::KFold { valid, .. } = *self { valid } else { SHARE };
        Split::KFold { k, index, valid }
    }

    /// Takes validation rows out of training rows, for data whose other parts are given: the training rows that are
    /// left, the validation rows, and which these are. Test shares do not count. The default split takes the latest
    /// rows if rows have times.
    ///
    /// # Errors
    /// [`Error::Split`] as for [`Split::parts`], and for folds.
    pub(crate) fn hold_out(
        &self,
        train: Vec<u32>,
        columns: &SplitColumns,
        seed: u64,
    ) -> Result<(Vec<u32>, Vec<u32>, &'static str)> {
        fn pick<T: Copy>(all: Option<&[T]>, rows: &[u32]) -> Option<Vec<T>> {
            all.map(|all| rows.iter().map(|&row| all[row as usize]).collect())
        }
        let (users, timestamps) = (pick(columns.users, &train), pick(columns.timestamps, &train));
        let has_times = timestamps.as_ref().is_some_and(|times| times.iter().any(|time| *time != times[0]));
        let (split, how) = match *self {
            Split::Random { valid, .. } if *self == Split::default() && has_times => {
                (Split::Time { valid, test: 0.0 }, "the latest ones")
            }
            Split::Random { valid, .. } => (Split::Random { valid, test: 0.0 }, "drawn at random"),
            Split::Time { valid, .. } => (Split::Time { valid, test: 0.0 }, "the latest ones"),
            Split::LeaveLastOut => (Split::LeaveLastOut, "the last one of each user"),
            Split::Fold(_) | Split::KFold { .. } => {
                let reason = "there is a table for each part, which a fold would have to mix; use `random` or `time`";
                return Err(Error::Split { split: self.to_string(), reason: reason.into() });
            }
        };
        let columns = SplitColumns { users: users.as_deref(), timestamps: timestamps.as_deref(), fold: None };
        let Parts { train: mut kept, mut valid, test } = split.parts(train.len(), &columns, seed)?;
        if split == Split::LeaveLastOut {
            kept.append(&mut valid);
            valid = test;
        }
        let original = |rows: Vec<u32>| {
            let mut rows: Vec<u32> = rows.into_iter().map(|row| train[row as usize]).collect();
            rows.sort_unstable();
            rows
        };
        Ok((original(kept), original(valid), how))
    }

    /// Splits `rows` rows.
    ///
    /// # Errors
    /// [`Error::Split`] if a column that the split needs is missing, if all timestamps are equal, if a fold does not
    /// divide these rows, if there are more folds than rows, or if no rows are left for training.
    pub fn parts(&self, rows: usize, columns: &SplitColumns, seed: u64) -> Result<Parts> {
        let refused = |reason: &str| Error::Split { split: self.to_string(), reason: reason.into() };
        let rows = u32::try_from(rows).map_err(|_| refused("there are more than 4294967295 rows"))?;
        let timestamps = || {
            let there = columns
                .timestamps
                .ok_or_else(|| refused("the table declares no `timestamp` column; declare it, or use `random`"))?;
            let equal = there.len() > 1 && there.iter().all(|time| time == &there[0]);
            if equal { Err(refused("all timestamps are equal; use `random`")) } else { Ok(there) }
        };
        if rows == 0 {
            return Err(refused("the table has no rows"));
        }
        let mut parts = match self {
            Split::Random { valid, test } => cut(permutation((0..rows).collect(), seed), *valid, *test),
            Split::Time { valid, test } => {
                let times = timestamps()?;
                let mut newest_first: Vec<u32> = (0..rows).collect();
                newest_first.sort_unstable_by_key(|&row| std::cmp::Reverse((times[row as usize], row)));
                cut(newest_first, *valid, *test)
            }
            Split::LeaveLastOut => {
                let users = columns
                    .users
                    .ok_or_else(|| refused("the table declares no `user` column; declare it, or use `random`"))?;
                leave_last_out(users, timestamps()?)
            }
            Split::KFold { k, .. } if *k > rows => {
                return Err(refused(&format!("there are only {rows} rows, so K can be at most {rows}")));
            }
            Split::KFold { k, index, valid } => {
                let bound = |block: u32| (u64::from(rows) * u64::from(block) / u64::from(*k)) as usize;
                let mut order = permutation((0..rows).collect(), seed);
                let test = order.drain(bound(*index)..bound(index + 1)).collect();
                Parts { test, ..cut(order, *valid, 0.0) }
            }
            Split::Fold(name) => {
                let (train, test) = columns
                    .fold
                    .ok_or_else(|| refused(&format!("the data has no fold `{name}`; use `kfold:5:0` or `random`")))?;
                check_fold(rows, train, test).map_err(|reason| refused(&reason))?;
                let mut train = train.to_vec();
                train.sort_unstable();
                Parts { test: test.to_vec(), ..cut(permutation(train, seed), SHARE, 0.0) }
            }
        };
        if parts.train.is_empty() {
            return Err(refused(&format!("of {rows} rows, none is left for training")));
        }
        for part in [&mut parts.train, &mut parts.valid, &mut parts.test] {
            part.sort_unstable();
        }
        Ok(parts)
    }
}

fn permutation(mut rows: Vec<u32>, seed: u64) -> Vec<u32> {
    rows.shuffle(&mut Pcg64::seed_from_u64(seed));
    rows
}

/// The first rows test, the next rows validate, the others train.
fn cut(mut rows: Vec<u32>, valid: f64, test: f64) -> Parts {
    let share = |share: f64| (rows.len() as f64 * share).round() as usize;
    let (valid, test) = (share(valid), share(test));
    let train = rows.split_off((test + valid).min(rows.len()));
    let valid = rows.split_off(test.min(rows.len()));
    Parts { train, valid, test: rows }
}

fn leave_last_out(users: &[u32], timestamps: &[i64]) -> Parts {
    let timelines = Timelines::new(users, timestamps);
    let mut parts = Parts { train: timelines.nobody().to_vec(), ..Parts::default() };
    for rows in timelines.users() {
        match rows {
            [earlier @ .., before, last] if !earlier.is_empty() => {
                parts.train.extend(earlier);
                parts.valid.push(*before);
                parts.test.push(*last);
            }
            few => parts.train.extend(few),
        }
    }
    parts
}

fn check_fold(rows: u32, train: &[u32], test: &[u32]) -> std::result::Result<(), String> {
    let mut seen = vec![false; rows as usize];
    for &row in train.iter().chain(test) {
        match seen.get_mut(row as usize) {
            None => return Err(format!("the fold has row {row}, but the table has only {rows} rows")),
            Some(true) => return Err(format!("the fold has row {row} twice")),
            Some(seen) => *seen = true,
        }
    }
    match seen.iter().position(|seen| !seen) {
        Some(row) => Err(format!("the fold lacks row {row} of the table")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::table::NO_CODE;

    fn split(text: &str) -> Split {
        text.parse().unwrap()
    }

    #[test]
    fn validation_rows_are_the_latest_training_rows_or_random_ones_in_the_share_of_the_split() {
        let train: Vec<u32> = (10..30).collect();
        let times: Vec<i64> = (0..40).map(|row| 100 - row).collect();
        let users: Vec<u32> = (0..40).map(|row| row % 4).collect();
        let columns = SplitColumns { users: Some(&users), timestamps: Some(&times), fold: None };
        let timeless = SplitColumns { timestamps: None, ..columns };
        let held_out = |text: &str, columns: &SplitColumns| {
            let (kept, valid, how) = split(text).hold_out(train.clone(), columns, 7).unwrap();
            let mut all = [kept, valid.clone()].concat();
            all.sort_unstable();
            assert_eq!(all, train);
            (valid, how)
        };
        // Earlier rows of the table are later in time.
        assert_eq!(held_out("random", &columns), (vec![10, 11], "the latest ones"));
        assert_eq!(held_out("time:0.2:0.7", &columns).0, [10, 11, 12, 13]);
        assert_eq!(held_out("leave-last-out", &columns), (vec![10, 11, 12, 13], "the last one of each user"));
        let equal = SplitColumns { timestamps: Some(&[5; 40]), ..columns };
        for columns in [timeless, equal] {
            let (valid, how) = held_out("random", &columns);
            assert_eq!((valid.len(), how), (2, "drawn at random"));
        }
        assert_eq!(held_out("random:0.25:0", &columns).0.len(), 5);
        assert_eq!(held_out("random:0:0", &columns).0, [0; 0]);
        let error = |text: &str| split(text).hold_out(train.clone(), &timeless, 7).unwrap_err().to_string();
        assert!(error("kfold:5:0").contains("a table for each part"));
        assert!(error("time").contains("declares no `timestamp`"));
    }

    #[test]
    fn a_split_is_printed_as_it_is_parsed() {
        for text in [
            "random",
            "random:0.2:0",
            "leave-last-out",
            "time",
            "time:0:0.25",
            "fold:u1",
            "kfold:5:0",
            "kfold:5:0:0.25",
        ] {
            assert_eq!(split(text).to_string(), text);
        }
        assert_eq!(split("random:0.1:0.1"), Split::default());
    }

    #[test]
    fn the_error_for_an_unknown_split_lists_the_forms() {
        for text in [
            "",
            "randm",
            "random:0.5",
            "random:0.5:0.5",
            "random:-1:0",
            "fold:",
            "kfold:5:5",
            "kfold:1:0",
            "kfold:5:0:1",
            "kfold:5:0:0:0",
            "time:x:0",
        ] {
            let error = text.parse::<Split>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("the forms are random"), "{error}");
        }
    }

    #[test]
    fn shares_are_kept() {
        let parts = Split::default().parts(1000, &SplitColumns::default(), 1).unwrap();
        assert_eq!((parts.train.len(), parts.valid.len(), parts.test.len()), (800, 100, 100));
    }

    #[test]
    fn different_seeds_give_different_parts() {
        let parts = |seed| Split::default().parts(100, &SplitColumns::default(), seed).unwrap();
        assert_eq!(parts(1), parts(1));
        assert_ne!(parts(1), parts(2));
    }

    #[test]
    fn the_folds_of_a_k_fold_split_test_every_row_once() {
        let mut tested: Vec<u32> = (0..7)
            .flat_map(|index| Split::default().fold(7, index).parts(100, &SplitColumns::default(), 3).unwrap().test)
            .collect();
        tested.sort_unstable();
        assert_eq!(tested, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn there_are_not_more_folds_than_rows() {
        let of = |k| split(&format!("kfold:{k}:0")).parts(600, &SplitColumns::default(), 1);
        assert_eq!(of(600).unwrap().test.len(), 1);
        let error = of(1_000_000).unwrap_err().to_string();
        assert!(error.ends_with("`kfold:1000000:0`: there are only 600 rows, so K can be at most 600"), "{error}");
    }

    #[test]
    fn a_fold_has_the_share_of_validation_rows_of_its_split() {
        let sizes = |text: &str| {
            let parts = split(text).fold(5, 2).parts(100, &SplitColumns::default(), 3).unwrap();
            (parts.train.len(), parts.valid.len(), parts.test.len())
        };
        assert_eq!(sizes("random"), (72, 8, 20));
        assert_eq!(sizes("random:0:0.1"), (80, 0, 20));
        assert_eq!(sizes("kfold:3:0:0.25"), (60, 20, 20));
        assert_eq!(sizes("leave-last-out"), (72, 8, 20));
    }

    #[test]
    fn the_last_row_of_each_user_tests_and_the_one_before_validates() {
        let users = [0, 0, 1, 0, 1, 0, NO_CODE];
        let timestamps = [5, 9, 1, 5, 2, 1, 7];
        let columns = SplitColumns { users: Some(&users), timestamps: Some(&timestamps), fold: None };
        let parts = Split::LeaveLastOut.parts(7, &columns, 0).unwrap();
        // User 0 by time: rows 5, 0, 3, 1. User 1 has too few rows; row 6 has no user.
        assert_eq!(parts, Parts { train: vec![0, 2, 4, 5, 6], valid: vec![3], test: vec![1] });
    }

    #[test]
    fn the_latest_rows_test() {
        let timestamps = [40, 10, 30, 20, 30, 50, 60, 70, 80, 90];
        let columns = SplitColumns { timestamps: Some(&timestamps), ..SplitColumns::default() };
        let parts = split("time:0.2:0.2").parts(10, &columns, 0).unwrap();
        assert_eq!(parts, Parts { train: (0..6).collect(), valid: vec![6, 7], test: vec![8, 9] });
    }

    #[test]
    fn a_fold_keeps_its_test_rows_and_gives_a_tenth_to_validation() {
        let (train, test): (Vec<u32>, Vec<u32>) = ((20..100).collect(), (0..20).collect());
        let parts_of = |rows, train: &[u32], test: &[u32]| {
            let columns = SplitColumns { fold: Some((train, test)), ..SplitColumns::default() };
            Split::Fold("u1".into()).parts(rows, &columns, 1)
        };
        let parts = parts_of(100, &train, &test).unwrap();
        assert_eq!((parts.test, parts.valid.len(), parts.train.len()), (test.clone(), 8, 72));
        let refused = |rows, train: &[u32], test: &[u32]| parts_of(rows, train, test).unwrap_err().to_string();
        assert!(refused(101, &train, &test).ends_with("the fold lacks row 100 of the table"));
        assert!(refused(99, &train, &test).ends_with("has row 99, but the table has only 99 rows"));
        assert!(refused(100, &train, &[50]).ends_with("has row 50 twice"));
    }

    #[test]
    fn the_error_names_the_missing_column_of_a_split() {
        let refused = |text: &str, columns| split(text).parts(3, &columns, 0).unwrap_err().to_string();
        let equal = SplitColumns { users: Some(&[0, 0, 0]), timestamps: Some(&[7, 7, 7]), fold: None };
        assert!(refused("time", SplitColumns::default()).contains("declares no `timestamp` column"));
        assert!(refused("leave-last-out", SplitColumns::default()).contains("declares no `user` column"));
        assert!(refused("time", equal).contains("all timestamps are equal"));
        assert!(refused("leave-last-out", equal).contains("all timestamps are equal"));
        assert!(refused("fold:u9", SplitColumns::default()).contains("no fold `u9`"));
        assert!(Split::default().parts(0, &SplitColumns::default(), 0).is_err());
    }

    proptest! {
        #[test]
        fn parts_are_sorted_disjoint_and_complete(
            rows in prop::collection::vec((prop_oneof![0u32..5, Just(NO_CODE)], -3i64..10), 10..200),
            which in 0usize..4,
            seed: u64,
        ) {
            let (users, mut timestamps): (Vec<u32>, Vec<i64>) = rows.into_iter().unzip();
            timestamps[0] = 10; // Not all are equal.
            let columns = SplitColumns { users: Some(&users), timestamps: Some(&timestamps), fold: None };
            let split = split(["random", "time", "leave-last-out", "kfold:3:1"][which]);
            let parts = split.parts(users.len(), &columns, seed).unwrap();
            for part in [&parts.train, &parts.valid, &parts.test] {
                prop_assert!(part.is_sorted());
            }
            let mut all = [&parts.train[..], &parts.valid, &parts.test].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..users.len() as u32).collect::<Vec<_>>());
            prop_assert_eq!(split.parts(users.len(), &columns, seed).unwrap(), parts);
        }
    }
}
