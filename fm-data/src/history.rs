//! Lists derived from other rows of a table: the items that a user liked before, and who rated what.
//!
//! The separator of the field joins a list. An item whose id contains the separator splits into pieces that no vocabulary
//! contains.

use polars::prelude::*;

use crate::table::Present;
use crate::timelines::Timelines;

/// Number of rows of a chunk.
const CHUNK: usize = 1 << 15;

/// The rows that histories are derived from. The slices have the length of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Likes<'a> {
    /// The code of each row's user ([`codes`](crate::table::codes)). A row without a user has no history.
    pub users: &'a [u32],
    /// The item of each row.
    pub items: &'a Present<'a>,
    /// The label of each row, before any threshold.
    pub labels: &'a [f32],
    /// The time of each row.
    pub timestamps: &'a [i64],
    /// The training rows. Only their items and labels are used.
    pub train: &'a [u32],
    /// Minimum label of a like.
    pub liked: f32,
    /// The text between two items of a list.
    pub separator: &'a str,
}

/// For each row of the table, the latest `max_len` items that its user liked strictly before the time of the row,
/// newest first; null if there are none. The column comes in chunks. Takes O(rows · log rows).
///
/// Only training rows are used, so no label of a validation or test row leaks. A row with the same time is not
/// "before", so no row sees itself.
///
/// # Panics
/// If the slices differ in length, or a training row is outside the table.
pub(crate) fn liked_history<'a>(likes: &Likes<'a>, max_len: usize) -> impl Iterator<Item = StringChunked> + use<'a> {
    let Likes { users, items, timestamps, separator, .. } = *likes;
    let is_like = likes.mask();
    // The earlier likes of each row's user, as a range of `liked`, which grows by user and by time.
    let mut liked: Vec<u32> = Vec::new();
    let mut before = vec![(0u32, 0u32); users.len()];
    for rows in Timelines::new(users, timestamps).users() {
        let first = liked.len();
        for moment in rows.chunk_by(|&a, &b| timestamps[a as usize] == timestamps[b as usize]) {
            let range = (first.max(liked.len().saturating_sub(max_len)) as u32, liked.len() as u32);
            for &row in moment {
                before[row as usize] = range;
            }
            liked.extend(moment.iter().filter(|&&row| is_like[row as usize]));
        }
    }
    let mut text = String::new();
    (0..users.len()).step_by(CHUNK).map(move |at| {
        let before = &before[at..before.len().min(at + CHUNK)];
        let mut column = StringChunkedBuilder::new("history".into(), before.len());
        for &(start, end) in before {
            join(&mut text, separator, items, &liked[start as usize..end as usize]);
            column.append_option(Some(&text).filter(|text| !text.is_empty()));
        }
        column.finish()
    })
}

/// For each user by code, all items that the user liked in training rows, newest first; `None` if there are none. This is the
/// history of a new row.
///
/// # Panics
/// Like [`liked_history`].
pub(crate) fn latest_histories(likes: &Likes) -> Vec<Option<String>> {
    let is_like = likes.mask();
    let mut text = String::new();
    let history = |rows: &[u32]| {
        let liked: Vec<u32> = rows.iter().copied().filter(|&row| is_like[row as usize]).collect();
        join(&mut text, likes.separator, likes.items, &liked);
        Some(text.clone()).filter(|text| !text.is_empty())
    };
    Timelines::new(likes.users, likes.timestamps).users().map(history).collect()
}

/// For each row of the table, the latest `max_len` values of `others` in the training rows with the same key, newest
/// first; null if there are none. With users as keys and items as others, these are the items that the row's user
/// rated, including the row's own item if it is a training row: the implicit feedback of SVD++ (Koren, Factorization
/// meets the neighborhood, KDD 2008,
/// <https://doi.org/10.1145/1401890.1401944>). Labels are not used.
///
/// # Panics
/// If the slices differ in length, or a training row is outside the table.
pub(crate) fn companions(
    keys: &[u32],
    others: &Present<'_>,
    timestamps: &[i64],
    train: &[u32],
    (separator, max_len): (&str, usize),
) -> StringChunked {
    assert!(
        [others.cells.len(), timestamps.len()].iter().all(|len| *len == keys.len()),
        "columns must have the same length"
    );
    let mut is_train = vec![false; keys.len()];
    train.iter().for_each(|&row| is_train[row as usize] = true);
    let timelines = Timelines::new(keys, timestamps);
    let mut texts = Vec::with_capacity(timelines.users().len());
    let mut of_rows = vec![usize::MAX; keys.len()];
    for rows in timelines.users() {
        rows.iter().for_each(|&row| of_rows[row as usize] = texts.len());
        let there = |row: &u32| is_train[*row as usize] && others.value(*row).is_some();
        let trained: Vec<u32> = rows.iter().copied().filter(there).collect();
        let mut text = String::new();
        join(&mut text, separator, others, &trained[trained.len().saturating_sub(max_len)..]);
        texts.push(text);
    }
    let of_row = |&text: &usize| texts.get(text).map(String::as_str).filter(|text| !text.is_empty());
    of_rows.iter().map(of_row).collect()
}

impl Likes<'_> {
    /// Whether each row is a training row that likes a known item.
    fn mask(&self) -> Vec<bool> {
        let Likes { users, items, labels, timestamps, .. } = self;
        assert!(
            [items.cells.len(), labels.len(), timestamps.len()].iter().all(|len| *len == users.len()),
            "users, items, labels and timestamps must have the same length"
        );
        let mut mask = vec![false; users.len()];
        for &row in self.train {
            mask[row as usize] = labels[row as usize] >= self.liked && items.value(row).is_some();
        }
        mask
    }
}

/// Joins the items of `rows`, the last one first.
fn join(text: &mut String, separator: &str, items: &Present<'_>, rows: &[u32]) {
    text.clear();
    for item in rows.iter().rev().filter_map(|&row| items.value(row)) {
        if !text.is_empty() {
            text.push_str(separator);
        }
        text.push_str(item);
    }
}

#[cfg(test)]
mod tests {
    use fm_core::schema::Reading;
    use proptest::prelude::*;

    use super::*;
    use crate::table::NO_CODE;

    fn items(names: &[&str]) -> Present<'static> {
        let cells = StringChunked::from_iter(names.iter().map(|&name| Some(name))).into();
        Present { cells, reading: Reading::default() }
    }

    fn liked_history(likes: &Likes<'_>, max_len: usize) -> StringChunked {
        super::liked_history(likes, max_len)
            .reduce(|mut all, chunk| all.append_owned(chunk).map(|_| all).unwrap())
            .unwrap()
    }

    fn texts(history: &StringChunked) -> Vec<Option<&str>> {
        history.iter().collect()
    }

    #[test]
    fn a_history_is_newest_first_and_has_a_maximum_length() {
        let items = items(&["c", "a", "d", "b"]);
        let likes = Likes {
            users: &[0; 4],
            items: &items,
            labels: &[5.0; 4],
            timestamps: &[3, 1, 4, 2],
            train: &[0, 1, 2, 3],
            liked: 4.0,
            separator: "|",
        };
        assert_eq!(texts(&liked_history(&likes, 2)), [Some("b|a"), None, Some("c|b"), Some("a")]);
        assert_eq!(latest_histories(&likes)[0].as_deref(), Some("d|c|b|a"));
    }

    #[test]
    fn only_likes_of_the_same_user_in_training_rows_count() {
        let items = items(&["liked", "disliked", "tested", "other's", "nobody's", "now"]);
        let likes = Likes {
            users: &[0, 0, 0, 1, NO_CODE, 0],
            items: &items,
            labels: &[4.0, 3.5, 5.0, 5.0, 5.0, 5.0],
            timestamps: &[1, 2, 3, 4, 5, 6],
            train: &[0, 1, 3, 4, 5],
            liked: 4.0,
            separator: "|",
        };
        let history = liked_history(&likes, 10);
        assert_eq!(texts(&history), [None, Some("liked"), Some("liked"), None, None, Some("liked")]);
        assert_eq!(latest_histories(&likes), [Some("now|liked".to_owned()), Some("other's".into())]);
    }

    #[test]
    fn rows_with_the_same_time_do_not_see_each_other() {
        let items = items(&["a", "b", "c"]);
        let likes = Likes {
            users: &[0; 3],
            items: &items,
            labels: &[1.0; 3],
            timestamps: &[1, 1, 2],
            train: &[0, 1, 2],
            liked: 1.0,
            separator: "|",
        };
        assert_eq!(texts(&liked_history(&likes, 5)), [None, None, Some("b|a")]);
    }

    #[test]
    fn companions_are_of_training_rows_whatever_their_label_and_time() {
        let users = [0, 1, 0, 0, NO_CODE, 0];
        let items = items(&["a", "b", "c", "d", "e", "f"]);
        let rated = companions(&users, &items, &[3, 1, 2, 9, 4, 5], &[0, 2, 4, 5], ("|", 2));
        // Row 3 is not a training row. The row without a user and user 1, who has no training row, have no list.
        assert_eq!(texts(&rated), [Some("f|a"), None, Some("f|a"), Some("f|a"), None, Some("f|a")]);
    }

    proptest! {
        #[test]
        fn a_history_is_what_a_search_of_all_rows_finds(
            rows in prop::collection::vec((0u32..4, 0u8..6, 0i64..8, any::<bool>()), 1..60),
            max_len in 1usize..4,
        ) {
            let users: Vec<u32> = rows.iter().map(|row| if row.0 == 3 { NO_CODE } else { row.0 }).collect();
            let names: Vec<String> = (0..rows.len()).map(|row| format!("item{row}")).collect();
            let items = items(&names.iter().map(String::as_str).collect::<Vec<_>>());
            let labels: Vec<f32> = rows.iter().map(|row| f32::from(row.1)).collect();
            let timestamps: Vec<i64> = rows.iter().map(|row| row.2).collect();
            let train: Vec<u32> = (0..rows.len() as u32).filter(|&row| rows[row as usize].3).collect();
            let likes = Likes {
                users: &users,
                items: &items,
                labels: &labels,
                timestamps: &timestamps,
                train: &train,
                liked: 3.0,
                separator: "|",
            };
            let history = liked_history(&likes, max_len);
            for row in 0..rows.len() {
                let mut earlier: Vec<usize> = train
                    .iter()
                    .map(|&other| other as usize)
                    .filter(|&other| users[other] == users[row] && users[row] != NO_CODE)
                    .filter(|&other| timestamps[other] < timestamps[row] && labels[other] >= 3.0)
                    .collect();
                earlier.sort_by_key(|&other| std::cmp::Reverse((timestamps[other], other)));
                let names: Vec<&str> = earlier.iter().take(max_len).map(|&other| names[other].as_str()).collect();
                let expected = Some(names.join("|")).filter(|text| !text.is_empty());
                prop_assert_eq!(history.get(row).map(str::to_owned), expected);
            }
        }
    }
}
