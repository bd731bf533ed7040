//! Tables whose rows are divided among processes that train together, so that a table can be larger than the memory of
//! one of them.
//!
//! The row of an id belongs to rank `id % size`, and so does its optimiser state. A model looks ids up in *compact*
//! tables, which have a row only for each id of the current step:
//!
//! 1. [`Shards::note`] collects the ids of the step, and [`Shards::fetch`] asks their owners for the rows.
//! 2. Lookups take the row of an id from a [`Renumbering`]. Ids of features are those of the schema everywhere else.
//! 3. The optimiser sends the gradients of the rows to their owners, which update them.
//!
//! Layers create their tables by [`table`], within [`divide`].

mod ids;
mod pieces;
mod places;
mod score;

use std::cell::{Cell, RefCell};
use std::ops::Range;

use tch::nn::{Init, Path, f_init};
use tch::{Device, Kind, Tensor, no_grad};

use crate::bridge::{floats, floats_mut, int32s};
use crate::candidates::Candidates;
use crate::error::{Error, Result};
use crate::features::{Features, Ragged};
use crate::group::Group;
use ids::OwnIds;

pub use places::Renumbering;
pub use score::SharedModel;

/// What rank 0 wants of processes that serve it: the first number of its message, which is 0 if it has succeeded.
pub(crate) const FETCH: i64 = 1;
pub(crate) const GIVE_ROWS: i64 = 2;
pub(crate) const TAKE_ROWS: i64 = 3;

/// The number of numbers that are drawn at once.
const CHUNK: i64 = 1 << 20;

/// libtorch draws normal numbers in blocks of this length.
const BLOCK: i64 = 16;

/// The own rows of a table.
#[derive(Debug)]
pub(crate) struct Shard {
    /// The name of the parameter.
    pub name: String,
    ids: OwnIds,
    width: usize,
    /// `[own rows, width]`
    pub own: Tensor,
    /// The parameter, which the model looks up: `[distinct ids of the step, width]`.
    pub compact: Tensor,
    /// The memory of `compact`, which may have more rows.
    buffer: RefCell<Tensor>,
}

impl Shard {
    /// `[rows, width]` of the whole table.
    pub fn size(&self) -> [i64; 2] {
        [self.ids.table_rows(), self.width as i64]
    }

    /// The place among the own rows of an id that this process owns.
    pub fn place(&self, id: i32) -> Option<usize> {
        self.ids.place(id.into())
    }

    /// Whether the table has a row for an id.
    pub fn has(&self, id: i32) -> bool {
        self.ids.has(id.into())
    }
}

/// The tables that are created within [`divide`].
struct Division {
    rank: usize,
    size: usize,
    renumbering: Renumbering,
    shards: Vec<Shard>,
}

thread_local! {
    static DIVISION: RefCell<Option<Division>> = const { RefCell::new(None) };
}

/// Ends a division even if building panics.
struct Dividing;

impl Drop for Dividing {
    fn drop(&mut self) {
        DIVISION.with(|division| division.replace(None));
    }
}

/// Builds a model whose tables are divided among the processes of a group: layers that `build` creates in this thread
/// keep only the own rows of their tables.
///
/// # Errors
/// Those of `build`.
pub fn divide<'a, T, E>(
    group: &'a Group,
    build: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<(T, Shards<'a>), E> {
    let (rank, size, renumbering) = (group.rank(), group.size(), Renumbering::default());
    let division = Division { rank, size, renumbering: renumbering.clone(), shards: vec![] };
    DIVISION.with(|current| current.replace(Some(division)));
    let dividing = Dividing;
    let built = build()?;
    let mut shards = DIVISION.with(|current| current.take()).map_or_else(Vec::new, |division| division.shards);
    drop(dividing);
    shards.sort_by(|a, b| a.name.cmp(&b.name));
    let asked = RefCell::new(Asked::default());
    Ok((built, Shards { group, renumbering, shards, asked, is_fetched: Cell::new(true) }))
}

/// The rows of the compact tables, for a layer that is built within [`divide`].
pub fn renumbering() -> Option<Renumbering> {
    DIVISION.with_borrow(|division| division.as_ref().map(|division| division.renumbering.clone()))
}

/// A parameter with a row of `width` numbers for each id in these ranges, which ascend; the rows of the ids `zeros` are
/// 0. Within [`divide`], it has no rows yet, and the process keeps its own rows of the table. They have the values of
/// the whole table, bit for bit.
///
/// # Errors
/// [`Error::Memory`], which `what` names.
pub fn table(
    path: &Path<'_>,
    name: &str,
    (ids, zeros): (&[Range<i64>], &[i64]),
    (width, init): (i64, Init),
    what: impl Fn() -> String,
) -> Result<Tensor> {
    let Some((rank, size)) = DIVISION.with_borrow(|division| division.as_ref().map(|of| (of.rank, of.size))) else {
        let all = OwnIds::new(ids.iter().cloned(), 0, 1);
        let table = path.f_var(name, &[all.table_rows(), width], init).map_err(Error::memory(what))?;
        zero(&table, &all, zeros);
        return Ok(table);
    };
    let ids = OwnIds::new(ids.iter().cloned(), rank, size);
    let own = draw(&ids, width, init, &|| format!("one of {size} parts of {}", what()))?;
    zero(&own, &ids, zeros);
    let compact = path.f_var(name, &[0, width], Init::Const(0.0))?;
    let components = path.components().chain([name]);
    let shard = Shard {
        name: components.collect::<Vec<_>>().join("."),
        ids,
        width: width as usize,
        own,
        compact: compact.shallow_clone(),
        buffer: RefCell::new(Tensor::f_empty([0, width], (Kind::Float, Device::Cpu))?),
    };
    DIVISION.with_borrow_mut(|division| {
        if let Some(division) = division {
            division.shards.push(shard);
        }
    });
    Ok(compact)
}

/// Sets the own rows of some ids to 0.
fn zero(table: &Tensor, ids: &OwnIds, zeros: &[i64]) {
    let places: Vec<i64> =
        zeros.iter().filter(|&&id| ids.owns(id)).filter_map(|&id| ids.place(id)).map(|place| place as i64).collect();
    if !places.is_empty() {
        let places = Tensor::from_slice(&places).to_device(table.device());
        let _ = no_grad(|| table.shallow_clone().index_fill_(0, &places, 0.0));
    }
}

/// The own rows of a new table. The whole table is drawn in parts, so that the values do not depend on the number of
/// processes.
fn draw(ids: &OwnIds, width: i64, init: Init, what: &dyn Fn() -> String) -> Result<Tensor> {
    let rows = ids.table_rows();
    let own = Tensor::f_zeros([ids.len(), width], (Kind::Float, Device::Cpu)).map_err(Error::memory(what))?;
    // Whole blocks, and a last one that is not shorter than a block.
    let most = (CHUNK / width / BLOCK).max(1) * BLOCK;
    let mut first = 0;
    while first < rows {
        let end = if rows - first < most + BLOCK { rows } else { first + most };
        let drawn = f_init(init, &[end - first, width], Device::Cpu, Kind::Float).map_err(Error::memory(what))?;
        let mut row = 0;
        for run in ids.of_rows(first..end) {
            let length = run.end - run.start;
            let places = ids.own(&run);
            let from = row + ids.first_own(run.start) - run.start;
            if !places.is_empty() {
                let part = drawn.f_slice(0, from, row + length, ids.size())?;
                own.f_narrow(0, places.start as i64, places.len() as i64)?.f_copy_(&part)?;
            }
            row += length;
        }
        first = end;
    }
    Ok(own)
}

/// The ids of the last fetch, by process.
#[derive(Debug, Default)]
struct Asked {
    /// The own ids that each process owns, and their rows in the compact tables.
    of_owners: Vec<Vec<(i32, u32)>>,
    /// The ids of each process that this one owns.
    of_others: Vec<Vec<i32>>,
}

/// The tables of a model that are divided among processes: see [`divide`].
#[derive(Debug)]
pub struct Shards<'a> {
    group: &'a Group,
    renumbering: Renumbering,
    /// In the order of their names.
    shards: Vec<Shard>,
    asked: RefCell<Asked>,
    /// Whether the noted ids are those of the last fetch.
    is_fetched: Cell<bool>,
}

impl<'a> Shards<'a> {
    /// The processes.
    pub(crate) fn group(&self) -> &'a Group {
        self.group
    }

    /// The tables, in the order of their names.
    pub(crate) fn tables(&self) -> &[Shard] {
        &self.shards
    }

    /// The table that is the parameter of this name.
    pub(crate) fn find(&self, parameter: &str) -> Option<&Shard> {
        self.shards.iter().find(|shard| shard.name == parameter)
    }

    /// The table that a state of the optimiser belongs to.
    pub(crate) fn of_state(&self, state: &str) -> Option<&Shard> {
        self.find(state.rsplit_once('/')?.0)
    }

    /// The number of numbers in all of the tables, and how many of them the parameters of the model have now.
    pub fn numbers(&self) -> [i64; 2] {
        let whole = self.shards.iter().map(|shard| shard.size().iter().product::<i64>()).sum();
        [whole, self.shards.iter().map(|shard| shard.compact.numel() as i64).sum()]
    }

    /// Forgets the ids of the last fetch, if there was one since.
    fn begin(&self) {
        if self.is_fetched.replace(false) {
            self.renumbering.places().clear();
        }
    }

    /// Notes the ids of rows for the next [`Shards::fetch`].
    ///
    /// # Errors
    /// [`Error::Shape`] for tensors that are not on the CPU.
    pub fn note(&self, rows: &Features) -> Result<()> {
        match rows {
            Features::Padded(rows) => self.note_ids(&rows.ids),
            Features::Ragged(rows) => self.note_ragged(rows),
        }
    }

    /// As [`Shards::note`], of candidates.
    ///
    /// # Errors
    /// Those of [`Shards::note`].
    pub fn note_candidates(&self, candidates: &Candidates<'_>) -> Result<()> {
        let (items, _) = candidates.items()?;
        self.note(&items)?;
        self.note_ragged(candidates.rows())
    }

    fn note_ragged(&self, rows: &Ragged) -> Result<()> {
        self.note_ids(rows.ids())?;
        // Of slots without a value, if a layer needs every slot.
        self.note_ids(&Tensor::from_slice(rows.layout().padding_ids()))
    }

    fn note_ids(&self, ids: &Tensor) -> Result<()> {
        self.begin();
        self.renumbering.note(ids)
    }

    /// Takes the rows of the noted ids from their owners into the compact tables, as all processes do at the same time.
    /// Ids that are noted afterwards are those of the next fetch.
    ///
    /// # Errors
    /// [`Error::PeerFailed`] if another process has failed, [`Error::Group`] if one is lost, [`Error::Torch`] without
    /// memory.
    pub fn fetch(&self) -> Result<()> {
        self.begin();
        let size = self.group.size();
        let mut of_owners = vec![vec![]; size];
        for (row, &id) in self.renumbering.places().ids().iter().enumerate() {
            of_owners[id as usize % size].push((id as i32, row as u32));
        }
        let counts = of_owners.iter().map(|ids| ids.len() as i64);
        let numbers: Vec<i64> = std::iter::once(FETCH).chain(counts).collect();
        let all = self.group.begin_step(&numbers)?;
        self.exchange_rows(of_owners, &all)
    }

    /// Answers a fetch of rank 0, whose message has been received.
    pub(crate) fn answer(&self, all: &[Vec<i64>]) -> Result<()> {
        self.is_fetched.set(true);
        self.begin();
        self.exchange_rows(vec![vec![]; self.group.size()], all)
    }

    /// `all` has the messages of all processes: how many ids each asks each for.
    fn exchange_rows(&self, of_owners: Vec<Vec<(i32, u32)>>, all: &[Vec<i64>]) -> Result<()> {
        let lengths = |ids: &[Vec<i32>]| -> Vec<usize> { ids.iter().map(Vec::len).collect() };
        let asked: Vec<Vec<i32>> = of_owners.iter().map(|ids| ids.iter().map(|&(id, _)| id).collect()).collect();
        let of_others: Vec<usize> = all.iter().map(|numbers| numbers[1 + self.group.rank()] as usize).collect();
        let found = self.group.exchange(&Tensor::from_slice(&asked.concat()), &lengths(&asked), &of_others)?;
        let mut rest = int32s(&found)?;
        let of_others: Vec<Vec<i32>> = of_others
            .into_iter()
            .map(|count| {
                let (ids, others) = rest.split_at(count);
                rest = others;
                ids.to_vec()
            })
            .collect();

        let numbers_of = |ids: &Vec<i32>| -> usize {
            let of_table = |shard: &Shard| ids.iter().filter(|&&id| shard.has(id)).count() * shard.width;
            self.shards.iter().map(of_table).sum()
        };
        let (sent, expected) = (of_others.iter().map(numbers_of).collect::<Vec<_>>(), asked.iter().map(numbers_of));
        let mut numbers = Vec::with_capacity(sent.iter().sum());
        for ids in &of_others {
            for shard in &self.shards {
                let own = floats(&shard.own)?;
                for place in ids.iter().filter_map(|&id| shard.place(id)) {
                    numbers.extend_from_slice(&own[place * shard.width..][..shard.width]);
                }
            }
        }
        let found = self.group.exchange(&Tensor::from_slice(&numbers), &sent, &expected.collect::<Vec<_>>())?;
        self.fill(&of_owners, floats(&found)?)?;
        self.asked.replace(Asked { of_owners, of_others });
        self.is_fetched.set(true);
        Ok(())
    }

    /// Writes the rows that the owners have sent to the compact tables.
    fn fill(&self, of_owners: &[Vec<(i32, u32)>], mut found: &[f32]) -> Result<()> {
        let rows: usize = of_owners.iter().map(Vec::len).sum();
        for shard in &self.shards {
            let mut buffer = shard.buffer.borrow_mut();
            if buffer.size()[0] < rows as i64 {
                // With room for more, because the number of ids differs from step to step.
                *buffer = Tensor::f_zeros([(rows + rows / 4) as i64, shard.width as i64], (Kind::Float, Device::Cpu))?;
            }
            // No graph of an earlier step lives, which would need the earlier rows.
            no_grad(|| shard.compact.shallow_clone().f_set_data(&buffer.f_narrow(0, 0, rows as i64)?))?;
        }
        for ids in of_owners {
            for shard in &self.shards {
                let mut compact = shard.compact.shallow_clone();
                let compact = floats_mut(&mut compact)?;
                for &(_, row) in ids.iter().filter(|&&(id, _)| shard.has(id)) {
                    let (numbers, rest) = found.split_at(shard.width);
                    compact[row as usize * shard.width..][..shard.width].copy_from_slice(numbers);
                    found = rest;
                }
            }
        }
        Ok(())
    }

    /// Calls `each(owner, table, rows)` for each process and table: the rows in the compact table of the ids that the
    /// last fetch has asked this process for, in the order of the fetch.
    pub(crate) fn each_asked(&self, mut each: impl FnMut(usize, &Shard, &mut dyn Iterator<Item = u32>)) {
        for (owner, ids) in self.asked.borrow().of_owners.iter().enumerate() {
            for shard in &self.shards {
                each(owner, shard, &mut ids.iter().filter(|(id, _)| shard.has(*id)).map(|&(_, row)| row));
            }
        }
    }

    /// Calls `each(table, places)` for each process, in the order of ranks, and each table: the places among the own
    /// rows of the ids that the process has asked for in the last fetch, in its order. Ends at the first `None`.
    pub(crate) fn each_given(
        &self,
        mut each: impl FnMut(&Shard, &mut dyn Iterator<Item = usize>) -> Option<()>,
    ) -> Option<()> {
        self.asked.borrow().of_others.iter().try_for_each(|ids| {
            let mut tables = self.shards.iter();
            tables.try_for_each(|shard| each(shard, &mut ids.iter().filter_map(|&id| shard.place(id))))
        })
    }
}

#[cfg(test)]
mod tests;
