//! Blocks of fields. The ids of a block are drawn one after another, while the ids of all other blocks are fixed.

use super::columns::Columns;
use super::gram::{Gram, TILE};
use super::lanes::{self, LANES};
use super::moments::Moments;
use super::table::{Table, width};

/// The label of a row in a sweep: the target t of the score, and the precision s² of its noise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Target {
    /// t.
    pub value: f32,
    /// s.
    pub scale: f32,
}

/// Fields, and the sums over their ids in each part of the rows.
#[derive(Debug)]
pub struct Block {
    k: usize,
    /// The part of each row.
    of_rows: Vec<u32>,
    /// The parts that contain each id.
    pub columns: Columns,
    /// The sums over the ids in each part.
    pub table: Table,
    /// The sums over the rows of each part. `None` if each row is its own part.
    sums: Option<PartSums>,
}

/// The rows of each part, and M = Σ s² m mᵀ over them for [`Moments::sum_parts`].
#[derive(Debug)]
struct PartSums {
    /// The offset of the rows of each part, and the end.
    starts: Vec<usize>,
    /// The rows by part.
    rows: Vec<u32>,
    gram: Gram,
    /// M of each part `[parts, width, width]`.
    sums: Vec<f32>,
}

/// All blocks except one.
pub struct Others<'a>(pub Vec<&'a Block>);

impl Others<'_> {
    /// The sum of a row's records in these blocks.
    pub fn sum(&self, row: usize, to: &mut [f32]) {
        let mut records = self.0.iter().map(|block| block.table.record(block.of_rows[row] as usize));
        match records.next() {
            Some(first) => lanes::copy(to, first),
            None => to.fill(0.0),
        }
        records.for_each(|record| lanes::add(to, record));
    }
}

/// A change of the parameters of an id.
#[derive(Debug)]
pub struct Change {
    k: usize,
    /// The old vector, padded.
    old: Vec<f32>,
    /// The change of the vector, padded.
    step: Vec<f32>,
    /// The change of the weight.
    weight: f32,
    /// The change of ½ ‖v‖².
    half_square: f32,
    /// M times the change of the vector.
    product: Vec<f32>,
}

impl Change {
    /// Buffers for vectors of length k.
    pub fn new(k: usize) -> Change {
        let zeros = || vec![0.0; width(k)];
        Change { k, old: zeros(), step: zeros(), weight: 0.0, half_square: 0.0, product: zeros() }
    }

    /// The change from one vector and weight `[k + 1]` to another.
    pub fn set(&mut self, old: &[f32], new: &[f32]) {
        let k = self.k;
        self.old[..k].copy_from_slice(&old[..k]);
        self.half_square = 0.0;
        for ((step, new), old) in self.step.iter_mut().zip(&new[..k]).zip(old) {
            *step = new - old;
            self.half_square += (new * new - old * old) / 2.0;
        }
        self.weight = new[k] - old[k];
    }
}

impl Block {
    /// `len` parts with several rows each. `of_rows` is the part of each row.
    pub fn of_parts(of_rows: Vec<u32>, len: usize, columns: Columns, k: usize) -> Block {
        let mut starts = vec![0; len + 1];
        of_rows.iter().for_each(|&part| starts[part as usize + 1] += 1);
        for part in 0..len {
            starts[part + 1] += starts[part];
        }
        let mut rows: Vec<u32> = (0..of_rows.len() as u32).collect();
        rows.sort_by_key(|&row| of_rows[row as usize]);
        let (width, table) = (width(k), Table::new(len, k));
        let sums = PartSums { starts, rows, gram: Gram::new(width), sums: vec![0.0; len * width * width] };
        Block { k, of_rows, columns, table, sums: Some(sums) }
    }

    /// One part per row.
    pub fn of_rows(n: usize, columns: Columns, k: usize) -> Block {
        Block { k, of_rows: (0..n as u32).collect(), columns, table: Table::new(n, k), sums: None }
    }

    /// Prepares for drawing the ids of the block. If rows are parts, their records contain e and s in place of l, and q
    /// includes the other blocks, until [`Block::end`].
    pub fn begin(&mut self, bias: f32, others: &Others<'_>, targets: &[Target]) {
        let Block { k, table, sums, .. } = self;
        let k = *k;
        match sums {
            Some(PartSums { starts, rows, gram, sums }) => {
                let width = width(k);
                let (mut q, mut of_tile) = (vec![0.0; width], Vec::with_capacity(TILE));
                for (part, sums) in sums.chunks_exact_mut(width * width).enumerate() {
                    let record = table.record(part);
                    q[..k].copy_from_slice(&record[..k]);
                    let own = bias + record[k];
                    for rows in rows[starts[part]..starts[part + 1]].chunks(TILE) {
                        // Prefetch distant records, so that the memory latencies overlap.
                        gram.vectors(rows.len()).zip(rows).for_each(|(m, &row)| others.sum(row as usize, m));
                        of_tile.clear();
                        of_tile.extend(rows.iter().map(|&row| targets[row as usize]));
                        for (m, target) in gram.vectors(rows.len()).zip(&of_tile) {
                            let rest = m[k];
                            (m[k], m[k + 1]) = (0.0, 0.0);
                            let score = own + rest + lanes::square_of_sum(m, &q) / 2.0;
                            m.iter_mut().for_each(|p| *p *= target.scale);
                            (m[k], m[k + 1]) = (target.scale * (target.value - score), target.scale);
                        }
                        gram.add(rows.len());
                    }
                    sums.iter_mut().zip(gram.finish()).for_each(|(sum, exact)| *sum = exact as f32);
                }
            }
            None => {
                let mut rest = vec![0.0; width(k)];
                for (row, target) in targets.iter().enumerate() {
                    others.sum(row, &mut rest);
                    let record = table.record_mut(row);
                    record[..k].iter_mut().zip(&rest).for_each(|(q, p)| *q += p);
                    let square: f32 = record[..k].iter().map(|q| q * q).sum();
                    record[k] = target.value - (bias + rest[k] + record[k] + square / 2.0);
                    record[k + 1] = target.scale;
                }
            }
        }
    }

    /// Sums over the rows of an id with the vector and weight `numbers`.
    pub fn sum(&self, id: usize, numbers: &[f32], moments: &mut Moments) {
        match &self.sums {
            Some(PartSums { sums, .. }) => {
                let size = width(self.k).pow(2);
                let parts = self.columns.entries(id);
                let parts = parts.map(|(part, x)| (self.table.record(part), &sums[part * size..(part + 1) * size], x));
                moments.sum_parts(numbers, parts);
            }
            None => moments.sum_rows(numbers, &self.table, self.columns.entries(id)),
        }
    }

    /// Applies a change of an id.
    pub fn follow(&mut self, id: usize, change: &mut Change) {
        let Block { k, columns, table, sums, .. } = self;
        for (row, x) in columns.entries(id) {
            let record = table.record_mut(row);
            match sums {
                Some(PartSums { sums, .. }) => {
                    let size = record.len().pow(2);
                    follow_part(*k, record, &mut sums[row * size..(row + 1) * size], x, change);
                }
                None => follow_row(*k, record, x, change),
            }
        }
    }

    /// Restores the records after drawing its ids.
    pub fn end(&mut self, bias: f32, others: &Others<'_>, targets: &[Target]) {
        if self.sums.is_some() {
            return;
        }
        let mut rest = vec![0.0; width(self.k)];
        for (row, target) in targets.iter().enumerate() {
            others.sum(row, &mut rest);
            let (q, numbers) = self.table.record_mut(row).split_at_mut(self.k);
            let square: f32 = q.iter().map(|q| q * q).sum();
            numbers[0] = target.value - numbers[0] - bias - rest[self.k] - square / 2.0;
            q.iter_mut().zip(&rest).for_each(|(q, p)| *q -= p);
        }
    }
}

/// Applies a change of an id with value x to a row's record [q_1, ..., q_k, e, s].
fn follow_row(k: usize, record: &mut [f32], x: f32, change: &Change) {
    let mut slopes = [0f32; LANES];
    let lanes = record.as_chunks_mut::<LANES>().0.iter_mut();
    let changes = change.old.as_chunks::<LANES>().0.iter().zip(change.step.as_chunks::<LANES>().0);
    for (q, (v, step)) in lanes.zip(changes) {
        for (((slope, q), v), step) in slopes.iter_mut().zip(q).zip(v).zip(step) {
            *slope += (*q - x * v) * step;
            *q += x * step;
        }
    }
    record[k] -= x * (slopes.iter().sum::<f32>() + change.weight);
}

/// Applies a change of an id with value x to a part's record [q_1, ..., q_k, l] and its sums M.
fn follow_part(k: usize, record: &mut [f32], m: &mut [f32], x: f32, change: &mut Change) {
    let (width, Change { old, step, weight, half_square, product, .. }) = (record.len(), change);
    // The score of a row changes by x (⟨p, step⟩ + slope).
    let slope = *weight + record.iter().zip(&*old).zip(&*step).map(|((q, v), step)| (q - x * v) * step).sum::<f32>();
    product.fill(0.0);
    for (i, m) in m.chunks_exact(width).take(k).enumerate() {
        let mut sum = m[i] * step[i];
        for (((m, step_j), product), _) in m.iter().zip(&*step).zip(product.iter_mut()).zip(0..i) {
            sum += m * step_j;
            *product += m * step[i];
        }
        product[i] += sum;
    }
    let (errors, ones) = m[k * width..].split_at_mut(width);
    let shift = ones.iter().zip(&*step).map(|(one, step)| one * step).sum::<f32>() + slope * ones[k + 1];
    for ((error, product), one) in errors[..k].iter_mut().zip(&*product).zip(&*ones) {
        *error -= x * (product + slope * one);
    }
    ones[k] -= x * shift;
    record.iter_mut().zip(&*step).for_each(|(q, step)| *q += x * step);
    record[k] += x * (*weight - x * *half_square);
}

#[cfg(test)]
mod tests {
    use super::super::Parameters;
    use super::super::tests::score;
    use super::*;
    use crate::oracle::{Draw, Row, Vector};

    const ROWS: usize = 150;
    const IDS: usize = 15;

    /// The ids of two blocks: a part or row has one id of the first, and two of the second.
    const OF_PARTS: [std::ops::Range<usize>; 2] = [0..4, 4..8];
    const OF_ROWS: [std::ops::Range<usize>; 2] = [8..11, 11..15];

    fn entries([one, two]: [std::ops::Range<usize>; 2], draw: &mut Draw) -> Row {
        let (first, step) = (draw.below(two.len()), 1 + draw.below(two.len() - 1));
        let ids = [one.start + draw.below(one.len()), two.start + first, two.start + (first + step) % two.len()];
        ids.map(|id| (id, draw.number())).into()
    }

    fn columns(rows: &[Row]) -> Columns {
        let each = |take: &mut dyn FnMut(u32, u32, f32)| {
            for (row, entries) in rows.iter().enumerate() {
                entries.iter().for_each(|&(id, x)| take(row as u32, id as u32, x as f32));
            }
            Ok::<(), std::convert::Infallible>(())
        };
        Columns::new(IDS, each).unwrap()
    }

    /// Σ s² h hᵀ over the rows of an id and, in the last row, Σ s² h e. h is the gradient of the score in the vector
    /// and the weight of the id.
    fn sums(id: usize, parameters: &Parameters, k: usize, rows: &[Row], targets: &[Target]) -> Vec<Vector> {
        let mut sums = vec![vec![0.0; k + 1]; k + 2];
        for (row, target) in rows.iter().zip(targets) {
            let Some(&(_, x)) = row.iter().find(|&&(other, _)| other == id) else { continue };
            let others = row.iter().filter(|&&(other, _)| other != id);
            let numbers = |other: usize| &parameters.ids[other * (k + 1)..][..k];
            let mut h = vec![0.0; k + 1];
            for &(other, of_other) in others {
                h.iter_mut().zip(numbers(other)).for_each(|(h, &v)| *h += x * of_other * f64::from(v));
            }
            h[k] = x;
            let square = f64::from(target.scale).powi(2);
            let e = f64::from(target.value) - score(parameters, k, row);
            for i in 0..=k {
                (0..=k).for_each(|j| sums[i][j] += square * h[i] * h[j]);
                sums[k + 1][i] += square * h[i] * e;
            }
        }
        sums
    }

    #[test]
    fn sums_equal_the_loops_over_rows_and_pairs_while_ids_change() {
        for (k, has_parts, has_rows) in
            [(1, true, true), (6, true, true), (7, true, true), (9, true, true), (3, true, false), (3, false, true)]
        {
            let mut draw = Draw(k as u64);
            // One part has more rows than a tile.
            let of_rows: Vec<u32> = (0..ROWS).map(|row| if row < 80 { 0 } else { 1 + draw.below(4) as u32 }).collect();
            let parts: Vec<Row> = (0..5).map(|_| entries(OF_PARTS, &mut draw)).collect();
            let singles: Vec<Row> = (0..ROWS).map(|_| entries(OF_ROWS, &mut draw)).collect();
            let of_block = |has: bool, row: &Row| if has { row.clone() } else { vec![] };
            let row = |row: usize| {
                [of_block(has_parts, &parts[of_rows[row] as usize]), of_block(has_rows, &singles[row])].concat()
            };
            let rows: Vec<Row> = (0..ROWS).map(row).collect();
            let blocks = [
                has_parts.then(|| (OF_PARTS, Block::of_parts(of_rows.clone(), 5, columns(&parts), k))),
                has_rows.then(|| (OF_ROWS, Block::of_rows(ROWS, columns(&singles), k))),
            ];
            let of_ranges =
                |(ids, block): ([std::ops::Range<usize>; 2], Block)| (ids.into_iter().flatten().collect(), block);
            let (ids, mut blocks): (Vec<Vec<usize>>, Vec<Block>) = blocks.into_iter().flatten().map(of_ranges).unzip();
            let mut number = || draw.number() as f32;
            let targets: Vec<Target> =
                (0..ROWS).map(|_| Target { value: number(), scale: 1.0 + number() / 2.0 }).collect();
            let mut parameters = Parameters { bias: number(), ids: (0..IDS * (k + 1)).map(|_| number()).collect() };
            let numbers = |id: usize| id * (k + 1)..(id + 1) * (k + 1);
            for (block, ids) in blocks.iter_mut().zip(&ids) {
                for &id in ids {
                    block.table.add(&block.columns, id, &parameters.ids[numbers(id)]);
                }
            }

            let (mut moments, mut change) = (Moments::new(k), Change::new(k));
            for (place, ids) in ids.iter().enumerate() {
                let (before, rest) = blocks.split_at_mut(place);
                let (block, after) = rest.split_first_mut().unwrap();
                let others = Others(before.iter().chain(&*after).collect());
                block.begin(parameters.bias, &others, &targets);
                for &id in ids {
                    block.sum(id, &parameters.ids[numbers(id)], &mut moments);
                    let expected = sums(id, &parameters, k, &rows, &targets);
                    let close = |found: f64, expected: f64| (found - expected).abs() < 1e-4 * (1.0 + expected.abs());
                    for (i, products) in expected[..=k].iter().enumerate() {
                        for (j, &expected) in products[..=i].iter().enumerate() {
                            let found = moments.product(i, j);
                            assert!(close(found, expected), "id {id}: {i}, {j}: found {found}, expected {expected}");
                        }
                        let (found, expected) = (moments.score(i), expected[k + 1][i]);
                        assert!(close(found, expected), "id {id}: {i}: found {found}, expected {expected}");
                    }
                    let new: Vec<f32> = (0..=k).map(|_| draw.number() as f32).collect();
                    change.set(moments.id(), &new);
                    block.follow(id, &mut change);
                    parameters.ids[numbers(id)].copy_from_slice(&new);
                }
                block.end(parameters.bias, &others, &targets);
                let len = if block.sums.is_some() { 5 } else { ROWS };
                let mut expected = Table::new(len, k);
                for &id in ids {
                    expected.add(&block.columns, id, &parameters.ids[numbers(id)]);
                }
                for record in 0..len {
                    let (found, expected) = (block.table.record(record), expected.record(record));
                    let close = |(a, b): (&f32, &f32)| (a - b).abs() < 2e-5;
                    assert!(found[..=k].iter().zip(expected).all(close), "found {found:?}, expected {expected:?}");
                }
            }
        }
    }
}
