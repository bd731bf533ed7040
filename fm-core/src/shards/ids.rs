//! Which rows of a table belong to which process.

use std::ops::Range;

/// The ids that a table has rows for, and which of them one of several processes owns: id is owned by rank `id % size`,
/// so that the frequent values, which have neighbouring ids, are spread evenly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnIds {
    rank: i64,
    size: i64,
    ranges: Vec<OwnRange>,
}

/// Consecutive ids, and the first of them that the process owns.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OwnRange {
    ids: Range<i64>,
    first: i64,
    /// The number of own ids in the ranges before.
    before: i64,
}

impl OwnIds {
    /// The table's rows are those of the ids in these ranges, which ascend and do not overlap.
    pub fn new(ranges: impl IntoIterator<Item = Range<i64>>, rank: usize, size: usize) -> OwnIds {
        let (rank, size) = (rank as i64, size as i64);
        let mut own = OwnIds { rank, size, ranges: vec![] };
        for ids in ranges.into_iter().filter(|ids| !ids.is_empty()) {
            match own.ranges.last_mut() {
                Some(last) if last.ids.end == ids.start => last.ids.end = ids.end,
                _ => {
                    let first = ids.start + (rank - ids.start).rem_euclid(size);
                    own.ranges.push(OwnRange { before: own.len(), ids, first });
                }
            }
        }
        own
    }

    /// The number of rows of the whole table.
    pub fn table_rows(&self) -> i64 {
        self.ranges.iter().map(|range| range.ids.end - range.ids.start).sum()
    }

    /// The number of own rows.
    pub fn len(&self) -> i64 {
        self.ranges.last().map_or(0, |last| last.before + count(last.first, last.ids.end, self.size))
    }

    /// The number of processes.
    pub fn size(&self) -> i64 {
        self.size
    }

    /// Whether an id belongs to this process.
    pub fn owns(&self, id: i64) -> bool {
        id % self.size == self.rank
    }

    /// The place among the own rows of an id that this process owns; `None` if the table has no row for it.
    pub fn place(&self, id: i64) -> Option<usize> {
        let at = match self.ranges.len() {
            1 => 0,
            _ => self.ranges.partition_point(|range| range.ids.end <= id),
        };
        let range = self.ranges.get(at).filter(|range| range.ids.contains(&id))?;
        debug_assert!(self.owns(id));
        Some((range.before + (id - range.first) / self.size) as usize)
    }

    /// Whether the table has a row for an id.
    pub fn has(&self, id: i64) -> bool {
        let at = self.ranges.partition_point(|range| range.ids.end <= id);
        self.ranges.get(at).is_some_and(|range| range.ids.contains(&id))
    }

    /// Runs of at most `most` consecutive ids, which together are all rows of the table in their order.
    pub fn pieces(&self, most: i64) -> impl Iterator<Item = Range<i64>> {
        self.ranges.iter().flat_map(move |OwnRange { ids, .. }| {
            let end = ids.end;
            (ids.start..end).step_by(most as usize).map(move |first| first..end.min(first + most))
        })
    }

    /// The runs of ids that have these rows of the whole table.
    pub fn of_rows(&self, rows: Range<i64>) -> Vec<Range<i64>> {
        let mut before = 0;
        let part = |OwnRange { ids, .. }: &OwnRange| {
            let shift = ids.start - before;
            before += ids.end - ids.start;
            ids.start.max(rows.start + shift)..ids.end.min(rows.end + shift)
        };
        self.ranges.iter().map(part).filter(|ids| !ids.is_empty()).collect()
    }

    /// The number of ids of a run that each process owns.
    pub fn counts(&self, ids: &Range<i64>) -> Vec<usize> {
        let of_rank = |rank: i64| count(ids.start + (rank - ids.start).rem_euclid(self.size), ids.end, self.size);
        (0..self.size).map(|rank| of_rank(rank) as usize).collect()
    }

    /// The first id from `start` on that this process owns.
    pub fn first_own(&self, start: i64) -> i64 {
        start + (self.rank - start).rem_euclid(self.size)
    }

    /// The places of the own rows of a run of ids.
    pub fn own(&self, ids: &Range<i64>) -> Range<usize> {
        let first = self.first_own(ids.start);
        let places = count(first, ids.end, self.size) as usize;
        let start = if places > 0 { self.place(first).unwrap_or_default() } else { 0 };
        start..start + places
    }
}

/// How many of `first`, `first + size`, ... are below `end`.
fn count(first: i64, end: i64, size: i64) -> i64 {
    if first < end { (end - first + size - 1) / size } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_one_owner_and_one_place() {
        let ranges = [2..9, 9..11, 14..15, 20..33];
        let ids: Vec<i64> = ranges.iter().cloned().flatten().collect();
        for size in 1..5 {
            let owners: Vec<OwnIds> = (0..size).map(|rank| OwnIds::new(ranges.clone(), rank, size)).collect();
            for (rank, owner) in owners.iter().enumerate() {
                assert_eq!(owner.table_rows(), ids.len() as i64);
                let own: Vec<i64> = ids.iter().copied().filter(|id| *id as usize % size == rank).collect();
                assert_eq!(owner.len(), own.len() as i64);
                let places: Vec<usize> = own.iter().map(|&id| owner.place(id).unwrap()).collect();
                assert_eq!(places, (0..own.len()).collect::<Vec<_>>());
                assert!((0..40).all(|id| owner.has(id) == ids.contains(&id)));
                for rows in [0..1, 3..9, 0..ids.len() as i64, 8..12] {
                    let expected = &ids[rows.start as usize..rows.end as usize];
                    assert!(owner.of_rows(rows).into_iter().flatten().eq(expected.iter().copied()));
                }
                for most in [1, 3, 100] {
                    assert!(owner.pieces(most).flatten().eq(ids.iter().copied()));
                    let own_places: Vec<usize> = owner.pieces(most).flat_map(|piece| owner.own(&piece)).collect();
                    assert_eq!(own_places, places, "{size} {rank} {most}");
                    for piece in owner.pieces(most) {
                        assert_eq!(owner.counts(&piece)[rank], owner.own(&piece).len());
                    }
                }
            }
        }
    }
}
