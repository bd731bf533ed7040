//! Tests with several processes, which are threads here.
#![allow(clippy::single_range_in_vec_init, reason = "the ids of a table may be one range")]

use tch::nn::VarStore;

use super::*;
use crate::features::Padded;
use crate::group::tests::in_group;

#[test]
fn own_rows_have_the_values_of_the_whole_table() {
    for (ranges, width, init) in [
        (vec![0..9], 1, Init::Randn { mean: 0.0, stdev: 0.3 }),
        (vec![0..40_003], 53, Init::Randn { mean: 0.0, stdev: 1.0 }),
        (vec![3..5000, 7000..200_001], 7, Init::Randn { mean: 0.0, stdev: 0.01 }),
        (vec![0..70_016], 16, Init::Uniform { lo: -1.0, up: 2.0 }),
        (vec![0..5], 2, Init::Const(0.5)),
    ] {
        let all = OwnIds::new(ranges.clone(), 0, 1);
        let next = || Tensor::f_randn([3], (Kind::Float, Device::Cpu)).unwrap();
        for rank in 0..3 {
            let is_own = |&id: &i64| id as usize % 3 == rank;
            let rows = ranges.iter().cloned().flatten().filter(is_own).map(|id| all.place(id).unwrap() as i64);
            let rows = Tensor::from_slice(&rows.collect::<Vec<_>>());
            let is_same = || {
                tch::manual_seed(7);
                let whole = f_init(init, &[all.table_rows(), width], Device::Cpu, Kind::Float).unwrap();
                let after = next();
                tch::manual_seed(7);
                let own = draw(&OwnIds::new(ranges.clone(), rank, 3), width, init, &String::new).unwrap();
                // The parameters that are drawn next are the same, too.
                own.equal(&whole.index_select(0, &rows)) && next().equal(&after)
            };
            // Tests that run at the same time may draw from libtorch's generator in between.
            assert!((0..100).any(|_| is_same()), "{ranges:?}, rank {rank}");
        }
    }
}

/// The tables of a model: one of all of 23 ids, and one of some of them. A number is 100 times its id, plus its column.
fn tables<'a>(group: &'a Group, store: &VarStore) -> Shards<'a> {
    let build = || {
        let root = store.root();
        let _ = table(&(&root / "b"), "weight", (&[0..23], &[]), (1, Init::Const(0.0)), String::new)?;
        table(&(&root / "a"), "weight", (&[2..5, 9..20], &[]), (3, Init::Const(0.0)), String::new)
    };
    let (_, shards) = divide(group, build).unwrap();
    assert!(renumbering().is_none());
    for shard in shards.tables() {
        for id in (0..23).filter(|&id| id as usize % group.size() == group.rank() && shard.has(id)) {
            let row: Vec<f32> = (0..shard.width).map(|column| (100 * id as usize + column) as f32).collect();
            shard.own.get(shard.place(id).unwrap() as i64).copy_(&Tensor::from_slice(&row));
        }
    }
    shards
}

fn row(id: i64, width: i64) -> Vec<f32> {
    (0..width).map(|column| (100 * id + column) as f32).collect()
}

#[test]
fn a_step_has_the_rows_of_its_ids_and_no_others() {
    for size in [2, 3] {
        in_group(size, |group| {
            let store = VarStore::new(Device::Cpu);
            let shards = tables(group, &store);
            assert_eq!(
                shards.tables().iter().map(|shard| &shard.name[..]).collect::<Vec<_>>(),
                ["a.weight", "b.weight"]
            );
            // In the second round, rank 0 has no ids; in the last one, nobody has.
            for (round, ids) in [vec![3, 9, 3, 19, 22, 0], vec![10, 4], vec![]].into_iter().enumerate() {
                let own: Vec<i64> = match (round, group.rank()) {
                    (1, 0) => vec![],
                    (_, rank) => ids.iter().map(|id| (id + rank as i64) % 23).collect(),
                };
                let slots = Tensor::from_slice(&own).view([-1, 1]);
                shards
                    .note(&Padded::unchecked(slots.shallow_clone(), slots.ones_like().to_kind(Kind::Float)).into())
                    .unwrap();
                shards.fetch().unwrap();
                let rows = Vec::<i64>::try_from(shards.renumbering.rows(&slots).unwrap().view([-1])).unwrap();
                for shard in shards.tables() {
                    let distinct = own.iter().collect::<std::collections::BTreeSet<_>>().len() as i64;
                    let width = shard.width as i64;
                    assert_eq!(store.variables()[&shard.name].size(), [distinct, width]);
                    for (&id, &at) in own.iter().zip(&rows).filter(|(id, _)| shard.has(**id as i32)) {
                        assert_eq!(Vec::<f32>::try_from(shard.compact.detach().get(at)).unwrap(), row(id, width));
                    }
                }
                assert!(shards.renumbering.rows(&Tensor::from_slice(&[17i64])).is_err());
            }
        });
    }
}

#[test]
fn whole_tables_pass_through_rank_0() {
    in_group(3, |group| {
        let shards = tables(group, &VarStore::new(Device::Cpu));
        for shard in shards.tables() {
            let mut whole = vec![];
            shards.give(shard, &shard.own, |numbers| whole.extend_from_slice(numbers)).unwrap();
            let ids = (0..23).filter(|&id| shard.has(id as i32));
            let expected: Vec<f32> = ids.flat_map(|id| row(id, shard.width as i64)).collect();
            assert_eq!(whole, if group.is_first() { expected.clone() } else { vec![] });
            let bytes: Vec<u8> = whole.iter().flat_map(|number| (number + 0.5).to_le_bytes()).collect();
            shards.take(shard, &shard.own, &bytes).unwrap();
            let mut changed = vec![];
            shards.give(shard, &shard.own, |numbers| changed.extend_from_slice(numbers)).unwrap();
            assert!(changed.iter().zip(&expected).all(|(found, before)| *found == before + 0.5));
            assert_eq!(changed.len(), whole.len());
        }
    });
}
