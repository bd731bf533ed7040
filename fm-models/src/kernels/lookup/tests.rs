use fm_core::optim::RowGradients;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::oracle::{Draw, Matrix, Row, Vector, assert_close, both_forms, features, numbers, schema, tensor};

/// The groupings of the layers that are possible with the schema; k is the length of an FFM's vectors.
fn groupings(schema: &Schema, k: usize) -> Vec<Grouping> {
    let width = schema.num_fields() * k;
    let is_several = |field: usize| schema.slots(field).len() > 1;
    let mut all = vec![
        Grouping::by_field(schema),
        Grouping::of_all(schema),
        Grouping::of_all(schema).with_squares(width, |_| Some(0)),
        Grouping::by_field(schema).with_squares(k, |field| Some(field * k)),
        Grouping::by_field(schema).with_squares(k, |field| is_several(field).then_some(field * k)),
        // Without the first field, so that ids are shifted; the others are in alternating groups.
        Grouping::new(schema, |field| (field > 0).then_some(field % 2)),
    ];
    all.extend(Grouping::by_side(schema));
    all.retain(|grouping| (0..grouping.groups).all(|g| grouping.fields.iter().any(|f| f.treatment.group == g)));
    all.retain(|grouping| grouping.groups > 0);
    all
}

/// The row of a slot in the table, and its treatment; `None` for a slot of a field without a group.
fn place(schema: &Schema, grouping: &Grouping, slot: usize, id: usize) -> Option<(usize, Treatment)> {
    let field = schema.field_of_slots()[slot];
    let treatment = grouping.fields.iter().find(|other| other.position == field)?.treatment;
    Some((id - treatment.shift as usize, treatment))
}

/// Sums `[B, G, w]`, squares `[B, q]` and the gradient of the table `[n, w]`, by loops from the definition.
fn by_definition(
    schema: &Schema,
    grouping: &Grouping,
    table: &Matrix,
    rows: &[Row],
    (of_sums, of_squares): (&Vector, &Vector),
) -> (Vector, Vector, Vector) {
    let (width, groups, q) = (table[0].len(), grouping.groups, grouping.squared);
    let mut sums = vec![0.0; rows.len() * groups * width];
    let mut squares = vec![0.0; rows.len() * q];
    let mut gradient = vec![0.0; table.len() * width];
    for (b, row) in rows.iter().enumerate() {
        for (slot, &(id, x)) in row.iter().enumerate() {
            let Some((place, treatment)) = place(schema, grouping, slot, id) else { continue };
            for d in 0..width {
                let (at, v) = ((b * groups + treatment.group) * width + d, table[place][d]);
                sums[at] += x * v;
                gradient[place * width + d] += x * of_sums[at];
                let squared = treatment.squared_from.and_then(|from| d.checked_sub(from)).filter(|&d| d < q);
                if let Some(d) = squared {
                    squares[b * q + d] += (x * v).powi(2);
                    gradient[place * width + treatment.squared_from.unwrap() + d] +=
                        2.0 * x * x * v * of_squares[b * q + d];
                }
            }
        }
    }
    (sums, squares, gradient)
}

proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn all_three_implementations_give_the_sums_and_gradients_of_the_definition(
            slots in vec(0usize..4, 1..6), k in 1usize..8, seed: u64,
        ) {
            let (schema, mut draw) = (schema(&slots), Draw(seed));
            let width = slots.len() * k;
            let rows = draw.rows(&schema, 4);
            for grouping in groupings(&schema, k) {
                let n = grouping.fields.iter().map(|f| schema.ids(f.position).end - schema.ids(f.position).start).sum::<i64>();
                let table_rows = draw.matrix(n as usize, width);
                let of_sums = draw.vector(4 * grouping.groups * width);
                let of_squares = draw.vector(4 * grouping.squared);
                let (sums, squares, gradient) =
                    by_definition(&schema, &grouping, &table_rows, &rows, (&of_sums, &of_squares));
                let [padded, ragged] = both_forms(&schema, &rows);
                let Features::Ragged(active) = &ragged else { unreachable!("the second form is ragged") };
                for train in [false, true] {
                    for way in ["padded", "loops", "operations", "collected"] {
                        let table = tensor(&table_rows.concat(), &[n, width as i64]).set_requires_grad(true);
                        let (collected, mut collecting) = (RowGradients::default(), active.shallow_clone());
                        collecting.collect_into(collected.clone());
                        let found = match way {
                            "padded" => super::sums("test", &table, &padded, &grouping, train),
                            "loops" => super::sums("test", &table, &ragged, &grouping, train),
                            "operations" => sums_of_active(&table, active, &grouping, train),
                            _ => super::sums("test", &table, &collecting.into(), &grouping, train),
                        };
                        let found = found.unwrap();
                        prop_assert_eq!(found.sums.size(), [4, grouping.groups as i64, width as i64]);
                        assert_close(&found.sums, &sums, &format!("the sum of {way}"));
                        let mut loss = (&found.sums * tensor(&of_sums, &found.sums.size())).sum(Kind::Float);
                        if let Some(found) = &found.squares {
                            assert_close(found, &squares, &format!("the squares of {way}"));
                            loss += (found * tensor(&of_squares, &found.size())).sum(Kind::Float);
                        }
prop_assert_eq!(found.squares.is_some(), grouping.squared > 0);
                        loss.backward();
                        let found = if way == "collected" && train {
                            assert!(!table.grad().defined());
                            let dense = Tensor::zeros([n, width as i64], (Kind::Float, Device::Cpu));
                            let of_table = collected.get(&table).unwrap();
                            let of_table = of_table.lock().unwrap();
                            let ids: Vec<i64> = of_table.rows().iter().map(|&row| i64::from(row)).collect();
                            let sums = Tensor::from_slice(of_table.sums()).view([-1, width as i64]);
                            dense.index_add(0, &Tensor::from_slice(&ids), &sums)
                        } else {
                            prop_assert_eq!(table.grad().is_sparse(), train);
                            table.grad().to_dense(None, false)
                        };
                        assert_close(&found, &gradient, &format!("the gradient of {way}"));
                    }
                }
            }
        }
    }

#[test]
fn a_row_whose_gradients_are_all_zero_adds_nothing() {
    let schema = schema(&[1, 2]);
    let rows = vec![vec![(1, 1.0), (5, 1.0), (6, 1.0)], vec![(2, 1.0), (5, 1.0), (7, 1.0)]];
    let table = Tensor::ones([8, 2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let grouping = Grouping::of_all(&schema).with_squares(2, |_| Some(0));
    let mut ragged = features(&schema, &rows).ragged(&schema.layout()).unwrap();
    let collected = RowGradients::default();
    ragged.collect_into(collected.clone());
    let found = super::sums("test", &table, &ragged.into(), &grouping, true).unwrap();
    (found.sums.get(0).sum(Kind::Float) + found.squares.unwrap().get(0).sum(Kind::Float)).backward();
    let gradient = collected.get(&table).unwrap();
    let gradient = gradient.lock().unwrap();
    assert_eq!((gradient.rows(), gradient.counts()), (&[1, 5, 6][..], &[1, 1, 1][..]));
    assert_eq!(gradient.sums(), [3.0; 6]);
}

#[test]
fn ids_outside_the_table_and_offsets_that_do_not_ascend_are_errors() {
    let schema = schema(&[1, 2]);
    let table = Tensor::ones([8, 2], (Kind::Float, Device::Cpu));
    let error = |ids: &[i32], offsets: &[i32]| {
        let rows = Ragged::unchecked(&schema.layout(), ids, None, offsets).into();
        super::sums("test", &table, &rows, &Grouping::by_field(&schema), false).unwrap_err().to_string()
    };
    for id in [-1, 8, i32::MAX, i32::MIN] {
        assert_eq!(error(&[0, id], &[0, 1, 2]), format!("test: expected ids of 0 to 7, found {id}"));
    }
    for offsets in [[0, 2, 1], [0, 1, 3], [-1, 1, 2], [i32::MIN, 0, 2]] {
        assert_eq!(error(&[0, 4], &offsets), "test: expected offsets that ascend to the number of ids, found others");
    }
}

#[test]
fn an_empty_batch_and_a_row_without_slots_have_sums_of_zero() {
    let schema = schema(&[2, 3]);
    let table = Tensor::ones([8, 2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    for offsets in [&[0][..], &[0, 0, 0]] {
        let rows = Ragged::unchecked(&schema.layout(), &[], Some(&[]), offsets);
        for found in [
            super::sums("test", &table, &rows.shallow_clone().into(), &Grouping::by_field(&schema), true).unwrap(),
            sums_of_active(&table, &rows, &Grouping::by_field(&schema), true).unwrap(),
        ] {
            assert_eq!(found.sums.size(), [offsets.len() as i64 / 2, 2, 2]);
            assert!(numbers(&found.sums).iter().all(|&number| number == 0.0));
            found.sums.sum(Kind::Float).backward();
        }
    }
}
