//! Finds the fields that repeat together in the training rows.
//!
//! A user's age, occupation and zip code are the same in all rows of the user. Fields that belong together form a
//! block. Each combination of their values that occurs, a part, is processed once instead of once per row. libFM does
//! the same with relational data (Rendle, Scaling factorization machines to relational data, VLDB 2013), where the user
//! declares the blocks; here they are detected.

use fm_core::features::Slices;
use fm_core::{Error, Result, Rows, Schema};
use hashbrown::HashMap;
use tch::Device;

use super::columns::Columns;

/// Number of rows to fetch at once.
const CHUNK: usize = 8192;

/// The training rows.
#[derive(Debug, Default)]
pub struct Layout {
    /// The label of each row.
    pub labels: Vec<f32>,
    /// The weight of each row.
    pub weights: Vec<f32>,
    /// The fields whose values repeat, in blocks.
    pub blocks: Vec<Parts>,
    /// The other fields, and the rows that have each of their ids.
    pub others: Option<(Vec<usize>, Columns)>,
}

/// The parts of a block of fields.
#[derive(Debug)]
pub struct Parts {
    /// The fields.
    pub fields: Vec<usize>,
    /// The part of each row.
    pub of_rows: Vec<u32>,
    /// The parts that have each id.
    pub columns: Columns,
    /// The number of parts.
    pub len: usize,
}

/// The distinct values of a field, each as ids with their x, and the index of each row's value.
#[derive(Default)]
struct Distinct {
    values: Vec<Box<[(u32, u32)]>>,
    numbers: HashMap<Box<[(u32, u32)]>, u32>,
    of_rows: Vec<u32>,
}

/// Fields with the distinct combinations of their values: the value of each field in each combination, and the index of
/// each row's combination.
struct Joined {
    fields: Vec<usize>,
    combinations: Vec<Vec<u32>>,
    of_rows: Vec<u32>,
}

impl Layout {
    /// Reads rows. A block has at most `max_parts` parts.
    ///
    /// # Errors
    /// [`Error::Shape`] if a row has an id in two slots, because its score would not be linear in the id's parameters;
    /// errors of the rows.
    pub fn new(rows: &dyn Rows, schema: &Schema, max_parts: usize) -> Result<Layout> {
        let mut fields: Vec<Option<Distinct>> = (0..schema.num_fields()).map(|_| Some(Distinct::default())).collect();
        let in_order: Vec<usize> = (0..rows.len()).collect();
        let mut slots = Vec::new();
        let mut read = |row: usize, of_fields: &RowSlots<'_>| {
            for (field, distinct) in fields.iter_mut().enumerate() {
                slots.clear();
                slots.extend(of_fields.field(field).map(|(id, x)| (id, x.to_bits())));
                slots.sort_unstable();
                if let Some(pair) = slots.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                    let found = format!("id {} twice in row {row}", pair[0].0);
                    return Err(Error::shape("BayesianFm's rows", "each id in one slot, as from the Encoder", found));
                }
                if distinct.as_mut().is_some_and(|distinct| !distinct.push(&slots, max_parts)) {
                    *distinct = None;
                }
            }
            Ok(())
        };
        for_each_row(rows, schema, &in_order, &mut read)?;

        let mut joined = join(&fields, rows.len(), max_parts);
        // Rows of the same part of the largest block are adjacent, and so is the memory that is read for them.
        let mut order = in_order;
        if let Some(largest) = joined.iter().max_by_key(|block| block.combinations.len()) {
            order.sort_by_key(|&row| largest.of_rows[row]);
        }
        for block in &mut joined {
            block.of_rows = order.iter().map(|&row| block.of_rows[row]).collect();
        }
        let blocks = joined.into_iter().map(|block| block.parts(&fields, schema)).collect();
        let others: Vec<usize> = (0..fields.len()).filter(|&field| fields[field].is_none()).collect();
        let others = match others.is_empty() {
            true => None,
            false => {
                let columns = Columns::new(schema.num_ids() as usize, |take| {
                    for_each_row(rows, schema, &order, |row, of_fields| {
                        let slots = others.iter().flat_map(|&field| of_fields.field(field));
                        slots.for_each(|(id, x)| take(row as u32, id, x));
                        Ok(())
                    })
                })?;
                Some((others, columns))
            }
        };
        let pick = |numbers: Vec<f32>| order.iter().map(|&row| numbers[row]).collect();
        let weights = rows.weights().map_or_else(|| vec![1.0; rows.len()], pick);
        Ok(Layout { labels: pick(rows.labels()), weights, blocks, others })
    }
}

/// The active slots of a row.
struct RowSlots<'a> {
    batch: Slices<'a>,
    /// The index of the row's first field among the offsets of the batch.
    first: usize,
}

impl RowSlots<'_> {
    /// The ids of a field, with their values x other than 0.
    fn field(&self, field: usize) -> impl Iterator<Item = (u32, f32)> + '_ {
        let Slices { ids, values, offsets } = self.batch;
        let slots = offsets[self.first + field] as usize..offsets[self.first + field + 1] as usize;
        let slot = move |at: usize| (ids[at] as u32, values.map_or(1.0, |values| values[at]));
        slots.map(slot).filter(|(_, x)| *x != 0.0)
    }
}

/// Calls `take` with the slots of each row, in the given order.
fn for_each_row(
    rows: &dyn Rows,
    schema: &Schema,
    order: &[usize],
    mut take: impl FnMut(usize, &RowSlots<'_>) -> Result<()>,
) -> Result<()> {
    for (number, chunk) in order.chunks(CHUNK).enumerate() {
        let features = rows.batch(chunk, Device::Cpu)?.features.ragged(&schema.layout())?;
        let batch = features.slices()?;
        for row in 0..chunk.len() {
            take(number * CHUNK + row, &RowSlots { batch, first: row * schema.num_fields() })?;
        }
    }
    Ok(())
}

impl Distinct {
    /// Adds the value of the next row. Returns false if there are now more than `limit` values.
    fn push(&mut self, value: &[(u32, u32)], limit: usize) -> bool {
        let number = match self.numbers.get(value) {
            Some(&number) => number,
            None => {
                let number = self.values.len() as u32;
                self.values.push(value.into());
                self.numbers.insert(value.into(), number);
                number
            }
        };
        self.of_rows.push(number);
        self.values.len() <= limit
    }
}

/// Joins fields into blocks. A field joins a block if it adds only few parts to it, for example if it is constant
/// within each part.
fn join(fields: &[Option<Distinct>], num_rows: usize, max_parts: usize) -> Vec<Joined> {
    let mut repeated: Vec<(usize, &Distinct)> =
        fields.iter().enumerate().filter_map(|(field, distinct)| Some((field, distinct.as_ref()?))).collect();
    repeated.sort_by_key(|(_, distinct)| std::cmp::Reverse(distinct.values.len()));
    let mut blocks: Vec<Joined> = Vec::new();
    for (field, distinct) in repeated {
        // A pass over all rows costs as much as this many more parts.
        let few = num_rows / 32;
        let limit = |block: &Joined| max_parts.min(block.combinations.len() + few);
        let joined = blocks.iter_mut().any(|block| block.join(field, distinct, limit(block)));
        if !joined {
            let combinations = (0..distinct.values.len() as u32).map(|value| vec![value]).collect();
            blocks.push(Joined { fields: vec![field], combinations, of_rows: distinct.of_rows.clone() });
        }
    }
    blocks
}

impl Joined {
    /// Adds a field, unless there would be more than `limit` combinations.
    fn join(&mut self, field: usize, distinct: &Distinct, limit: usize) -> bool {
        let mut numbers: HashMap<(u32, u32), u32> = HashMap::new();
        let mut of_rows = Vec::with_capacity(self.of_rows.len());
        let mut combinations: Vec<Vec<u32>> = Vec::new();
        for (&combination, &value) in self.of_rows.iter().zip(&distinct.of_rows) {
            let number = *numbers.entry((combination, value)).or_insert_with(|| {
                let before = &self.combinations[combination as usize];
                combinations.push(before.iter().copied().chain([value]).collect());
                combinations.len() as u32 - 1
            });
            of_rows.push(number);
            if combinations.len() > limit {
                return false;
            }
        }
        self.fields.push(field);
        (self.combinations, self.of_rows) = (combinations, of_rows);
        true
    }

    fn parts(self, fields: &[Option<Distinct>], schema: &Schema) -> Parts {
        let values = |part: usize| {
            let of_fields = self.fields.iter().zip(&self.combinations[part]);
            of_fields.filter_map(|(&field, &value)| fields[field].as_ref()?.values.get(value as usize))
        };
        let columns = Columns::new::<std::convert::Infallible>(schema.num_ids() as usize, |take| {
            for part in 0..self.combinations.len() {
                values(part).flatten().for_each(|&(id, x)| take(part as u32, id, f32::from_bits(x)));
            }
            Ok(())
        });
        let len = self.combinations.len();
        Parts { columns: columns.unwrap_or_default(), len, fields: self.fields, of_rows: self.of_rows }
    }
}

#[cfg(test)]
mod tests {
    use fm_core::Task;

    use super::super::tests::{GENRES, ITEM, NUMBER, TAGS, USER, World};
    use super::*;
    use crate::oracle::{Draw, Row, Vector};

    fn blocks(layout: &Layout) -> Vec<(Vec<usize>, usize)> {
        layout.blocks.iter().map(|block| (block.fields.clone(), block.len)).collect()
    }

    fn layout(world: &World, max_parts: usize) -> Layout {
        let (labels, weights): (Vector, Vector) =
            (0..world.rows.len()).map(|row| (row as f64, 1.0 + row as f64 / 256.0)).unzip();
        Layout::new(&world.tensor_rows(&labels, Some(&weights)), &world.schema, max_parts).unwrap()
    }

    #[test]
    fn fields_that_repeat_together_are_one_block() {
        let world = World::new(Task::Regression, [12, 5], 120, &mut Draw(1));
        let of = |max_parts: usize| {
            let layout = layout(&world, max_parts);
            (blocks(&layout), layout.others.map_or(vec![], |(fields, _)| fields))
        };
        assert_eq!(of(20), (vec![(vec![USER, TAGS], 12), (vec![ITEM], 5)], vec![GENRES, NUMBER]));
        assert_eq!(of(11), (vec![(vec![ITEM], 5)], vec![USER, TAGS, GENRES, NUMBER]));
        assert_eq!(of(0), (vec![], vec![USER, TAGS, ITEM, GENRES, NUMBER]));
        // Each row is its own part, and all other fields join.
        assert_eq!(of(120), (vec![(vec![GENRES, NUMBER, USER, TAGS, ITEM], 120)], vec![]));
    }

    #[test]
    fn parts_and_other_ids_together_are_the_rows_with_their_labels_and_weights() {
        let world = World::new(Task::Regression, [12, 5], 120, &mut Draw(2));
        for max_parts in [0, 11, 20, 120] {
            let layout = layout(&world, max_parts);
            let mut rows: Vec<Row> = vec![vec![]; 120];
            let ids = 0..world.schema.num_ids() as usize;
            for id in ids {
                for block in &layout.blocks {
                    for (part, x) in block.columns.entries(id) {
                        let of_part = rows.iter_mut().zip(&block.of_rows).filter(|&(_, &other)| other == part as u32);
                        of_part.for_each(|(row, _)| row.push((id, f64::from(x))));
                    }
                }
                for (row, x) in layout.others.iter().flat_map(|(_, columns)| columns.entries(id)) {
                    rows[row].push((id, f64::from(x)));
                }
            }
            let mut order: Vec<usize> = layout.labels.iter().map(|&label| label as usize).collect();
            for ((row, found), weight) in order.iter().zip(rows).zip(&layout.weights) {
                let mut expected = world.rows[*row].clone();
                expected.retain(|&(_, x)| x != 0.0);
                expected.sort_by_key(|&(id, _)| id);
                assert_eq!(found, expected, "row {row}");
                assert_eq!(*weight, 1.0 + *row as f32 / 256.0);
            }
            order.sort_unstable();
            assert!(order.into_iter().eq(0..120));
        }
    }

    #[test]
    fn rows_of_the_same_part_of_the_largest_block_are_adjacent() {
        let layout = layout(&World::new(Task::Regression, [12, 5], 120, &mut Draw(3)), 20);
        assert!(layout.blocks[0].of_rows.is_sorted());
        assert!(!layout.blocks[1].of_rows.is_sorted());
    }

    #[test]
    fn an_id_in_two_slots_of_a_row_is_an_error_except_as_padding() {
        let mut world = World::new(Task::Regression, [12, 5], 120, &mut Draw(4));
        let (first, second) = (world.schema.slots(GENRES).start, world.schema.slots(GENRES).start + 1);
        let id = world.rows[70][first].0;
        world.rows[70][second] = (id, 0.0);
        layout(&world, 20);
        world.rows[70][second].1 = 0.5;
        let error = Layout::new(&world.tensor_rows(&[0.0; 120], None), &world.schema, 20).unwrap_err().to_string();
        let expected = format!("each id in one slot, as from the Encoder, found id {id} twice in row 70");
        assert!(error.contains("BayesianFm's rows") && error.contains(&expected), "{error}");
    }

    #[test]
    fn no_rows_are_not_an_error() {
        let mut world = World::new(Task::Regression, [2, 2], 8, &mut Draw(5));
        world.rows.clear();
        let layout = layout(&world, 4);
        assert!(layout.labels.is_empty() && layout.weights.is_empty());
    }
}
