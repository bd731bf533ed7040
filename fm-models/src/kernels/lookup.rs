//! Sums of scaled table rows over the slots of a row, the basis of every layer over ids.
//!
//! Plain operations, which can be traced, sum padded rows. Loops in this file sum ragged rows on the CPU, and
//! operations on the active slots do so on other devices. All three give the same sums and gradients.

use std::ops::Range;
use std::sync::PoisonError;

use fm_core::autograd::custom;
use fm_core::elements::{filled, floats};
use fm_core::features::Slices;
use fm_core::optim::RowGradient;
use fm_core::shards::{Renumbering, renumbering};
use fm_core::{Error, Features, Padded, Ragged, Result, Schema, Side};
use tch::{Device, Kind, Tensor, no_grad};

/// Which slots of a row are summed into one vector, and which of their numbers are squared.
///
/// A row of a batch has G sums e_g = Σ_{s ∈ g} x_s v_{id_s}, each over a group of fields, and optionally the squares q
/// = Σ_s (x_s v_{id_s})² over all slots, element by element.
#[derive(Clone, Debug)]
pub(crate) struct Grouping {
    fields: Vec<GroupedField>,
    groups: usize,
    /// The number of squares per row; 0 without squares.
    squared: usize,
    /// Runs of neighbouring fields with the same treatment, for the loops.
    runs: Vec<Run>,
    /// The rows of ids in a table that is divided among processes, instead of those in the whole table.
    renumbering: Option<Renumbering>,
}

/// A field of a group.
#[derive(Clone, Debug)]
struct GroupedField {
    /// Its position in the schema.
    position: usize,
    /// Its slots in a padded row.
    slots: Range<usize>,
    treatment: Treatment,
}

/// The treatment of the slots of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Treatment {
    /// The group that sums them.
    group: usize,
    /// The index of the first number to square, if any.
    squared_from: Option<usize>,
    /// The row of an id in the table is id - shift.
    shift: i64,
}

#[derive(Clone, Debug)]
struct Run {
    fields: Range<usize>,
    treatment: Treatment,
}

/// `[F]`: the difference between the ids of each field and its rows, in a table with rows only for the fields for which
/// `is_in` is true. Fields that share a table have the same rows.
pub(crate) fn shifts(schema: &Schema, is_in: impl Fn(usize) -> bool) -> Vec<i64> {
    let fields = || 0..schema.num_fields();
    let is_used = |owner: usize| fields().any(|field| is_in(field) && schema.owner(field) == owner);
    let left_out: Vec<usize> = fields().filter(|&field| schema.owner(field) == field && !is_used(field)).collect();
    let before = |first: i64| left_out.iter().map(|&field| schema.ids(field)).filter(move |ids| ids.start < first);
    fields().map(|field| before(schema.ids(field).start).map(|ids| ids.end - ids.start).sum()).collect()
}

impl Grouping {
    /// Each field is a group: G = F.
    pub fn by_field(schema: &Schema) -> Grouping {
        Grouping::new(schema, Some)
    }

    /// All fields are one group: G = 1.
    pub fn of_all(schema: &Schema) -> Grouping {
        Grouping::new(schema, |_| Some(0))
    }

    /// Group 0 has the fields of the user and of the context, group 1 those of the item.
    ///
    /// # Errors
    /// [`Error::Setting`] if one of the sides has no field.
    pub fn by_side(schema: &Schema) -> Result<Grouping> {
        let is_item = |field: usize| schema.fields()[field].side == Side::Item;
        for (item, side) in [(false, "user"), (true, "item")] {
            if !(0..schema.num_fields()).any(|field| is_item(field) == item) {
                let reason = format!("no field is on the {side}'s side: set `side = \"{side}\"` for one in the schema");
                return Err(Error::Setting(reason));
            }
        }
        Ok(Grouping::new(schema, |field| Some(usize::from(is_item(field)))))
    }

    /// `group` gives the group of each field, from 0. A field without a group is left out, and the table has no rows
    /// for it.
    pub fn new(schema: &Schema, group: impl Fn(usize) -> Option<usize>) -> Grouping {
        let (shifts, renumbering) = (shifts(schema, |field| group(field).is_some()), renumbering());
        let shift = |position: usize| if renumbering.is_some() { 0 } else { shifts[position] };
        let grouped = |position: usize| {
            let treatment = Treatment { group: group(position)?, squared_from: None, shift: shift(position) };
            Some(GroupedField { position, slots: schema.slots(position), treatment })
        };
        let fields: Vec<GroupedField> = (0..schema.num_fields()).filter_map(grouped).collect();
        let groups = fields.iter().map(|field| field.treatment.group + 1).max().unwrap_or_default();
        Grouping { fields, groups, squared: 0, runs: vec![], renumbering }.with_runs()
    }

    /// The same groups with squares. `width` numbers of each field's slots are squared, starting at the index given by
    /// `from`.
    pub fn with_squares(mut self, width: usize, from: impl Fn(usize) -> Option<usize>) -> Grouping {
        self.fields.iter_mut().for_each(|field| field.treatment.squared_from = from(field.position));
        let is_squared = |field: &GroupedField| field.treatment.squared_from.is_some();
        self.squared = if self.fields.iter().any(is_squared) { width } else { 0 };
        self.with_runs()
    }

    fn with_runs(mut self) -> Grouping {
        self.runs.clear();
        for field in &self.fields {
            match self.runs.last_mut() {
                Some(run) if run.treatment == field.treatment && run.fields.end == field.position => {
                    run.fields.end += 1
                }
                _ => self.runs.push(Run { fields: field.position..field.position + 1, treatment: field.treatment }),
            }
        }
        self
    }

    /// G.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// The elements `[B, S']` of the slots of all grouped fields. Ids are shifted to rows of the table.
    pub fn of_slots(&self, tensor: &Tensor, shifted: bool) -> Tensor {
        match self.padded_runs()[..] {
            [(0, slots, 0)] if tensor.size()[1] == slots => tensor.shallow_clone(),
            ref runs => {
                let part = |&(first, length, shift): &(i64, i64, i64)| {
                    let part = tensor.narrow(1, first, length);
                    if shifted && shift > 0 { part - shift } else { part }
                };
                Tensor::cat(&runs.iter().map(part).collect::<Vec<_>>(), 1)
            }
        }
    }

    /// The slots of a grouped field among those of all grouped fields.
    pub fn slots_of(&self, position: usize) -> Range<i64> {
        let length = |field: &GroupedField| field.slots.len() as i64;
        let first = self.fields.iter().take_while(|field| field.position < position).map(length).sum();
        first..first + self.fields.iter().find(|field| field.position == position).map_or(0, length)
    }

    /// Runs of neighbouring slots of padded rows whose ids have the same shift: (first slot, slots, shift).
    fn padded_runs(&self) -> Vec<(i64, i64, i64)> {
        let mut runs: Vec<(i64, i64, i64)> = vec![];
        for GroupedField { slots, treatment: Treatment { shift, .. }, .. } in &self.fields {
            let (first, length) = (slots.start as i64, slots.len() as i64);
            match runs.last_mut() {
                Some((start, run, same)) if *start + *run == first && same == shift => *run += length,
                _ => runs.push((first, length, *shift)),
            }
        }
        runs
    }
}

/// The result of a lookup.
#[derive(Debug)]
pub(crate) struct Sums {
    /// `[B, G, w]`
    pub sums: Tensor,
    /// `[B, q]`, if the [`Grouping`] has squares.
    pub squares: Option<Tensor>,
}

/// Sums the rows of `table` `[n, w]` for the ids of the slots, by group. With `train`, the gradient of the table is
/// row-sparse.
///
/// # Errors
/// [`Error::Shape`] for an id outside the table, or offsets that do not ascend. The caller checks the form of
/// `features`.
pub(crate) fn sums(
    layer: &'static str,
    table: &Tensor,
    features: &Features,
    grouping: &Grouping,
    train: bool,
) -> Result<Sums> {
    match features {
        Features::Padded(rows) => {
            let vectors = slots(layer, table, rows, grouping, train)?;
            Ok(sums_of_padded(&vectors, grouping))
        }
        Features::Ragged(rows) if rows.device() == Device::Cpu => match &grouping.renumbering {
            Some(renumbering) => {
                let rows = rows.with_ids(renumbering.rows(rows.ids())?);
                sums_by_loops(layer, table, &rows, grouping, train)
            }
            None => sums_by_loops(layer, table, rows, grouping, train),
        },
        Features::Ragged(rows) => sums_of_active(table, rows, grouping, train),
    }
}

/// The scaled rows of the slots of all grouped fields, `[B, S, w]`. With `train`, the gradient of the table is
/// row-sparse.
///
/// # Errors
/// [`Error::Shape`] for an id outside the table.
pub(crate) fn slots(
    layer: &'static str,
    table: &Tensor,
    rows: &Padded,
    grouping: &Grouping,
    train: bool,
) -> Result<Tensor> {
    let (ids, values) = (grouping.of_slots(&rows.ids, true), grouping.of_slots(&rows.values, false));
    let ids = grouping.renumbering.as_ref().map_or_else(|| Ok(ids.shallow_clone()), |rows| rows.rows(&ids))?;
    let vectors = Tensor::f_embedding(table, &ids, -1, false, train).map_err(|error| {
        // Look for the id only now, because this takes a pass over the ids.
        let rows = table.size()[0];
        let outside = ids.masked_select(&ids.lt(0).logical_or(&ids.ge(rows)));
        match outside.numel() {
            0 => error.into(),
            _ => outside_of(layer, rows, outside.int64_value(&[0])),
        }
    })?;
    Ok(vectors * values.unsqueeze(-1))
}

fn outside_of(layer: &'static str, rows: i64, id: i64) -> Error {
    Error::shape(layer, format!("ids of 0 to {}", rows - 1), id.to_string())
}

/// Sums the vectors `[B, S, w]` of the grouped slots, by operations that can be traced.
pub(crate) fn sums_of_padded(vectors: &Tensor, grouping: &Grouping) -> Sums {
    // The first slot of each field among the grouped slots.
    let mut firsts = vec![0];
    grouping.fields.iter().for_each(|field| firsts.push(firsts[firsts.len() - 1] + field.slots.len() as i64));
    let run = |fields: Range<usize>| vectors.narrow(1, firsts[fields.start], firsts[fields.end] - firsts[fields.start]);
    let members: Vec<Vec<usize>> = (0..grouping.groups)
        .map(|group| (0..grouping.fields.len()).filter(|&f| grouping.fields[f].treatment.group == group).collect())
        .collect();
    let is_slot = |group: usize, field: usize| {
        members.get(group).is_some_and(|fields| fields[..] == [field]) && grouping.fields[field].slots.len() == 1
    };

    let mut pieces = vec![];
    let mut group = 0;
    while group < grouping.groups {
        let fields = &members[group];
        let (first, last) = (fields[0], fields[fields.len() - 1]);
        // Take neighbouring groups of one slot together.
        let single = (0..).take_while(|&next| is_slot(group + next, first + next)).count();
        if single > 0 {
            pieces.push(run(first..first + single));
            group += single;
            continue;
        }
        let slots = if fields.len() == last + 1 - first {
            run(first..last + 1)
        } else {
            Tensor::cat(&fields.iter().map(|&field| run(field..field + 1)).collect::<Vec<_>>(), 1)
        };
        pieces.push(slots.sum_dim_intlist(1, true, Kind::Float));
        group += 1;
    }
    let sums = if pieces.len() == 1 { pieces.remove(0) } else { Tensor::cat(&pieces, 1) };

    let mut squares: Option<Tensor> = None;
    let mut field = 0;
    while field < grouping.fields.len() {
        let from = grouping.fields[field].treatment.squared_from;
        let is_other = |field: &usize| grouping.fields[*field].treatment.squared_from != from;
        let end = (field..grouping.fields.len()).find(is_other).unwrap_or(grouping.fields.len());
        if let Some(from) = from {
            let all = run(field..end);
            let own = match all.size()[2] == grouping.squared as i64 {
                true => all,
                false => all.narrow(2, from as i64, grouping.squared as i64),
            };
            let more = own.square().sum_dim_intlist(1, false, Kind::Float);
            squares = Some(squares.map_or_else(|| more.shallow_clone(), |squares| squares + &more));
        }
        field = end;
    }
    Sums { sums, squares }
}

/// Like [`sums`], by operations on the active slots.
fn sums_of_active(table: &Tensor, rows: &Ragged, grouping: &Grouping, train: bool) -> Result<Sums> {
    let (device, fields) = (rows.device(), rows.layout().num_fields());
    let takes_part = grouping.fields.len() == fields;
    let kept;
    let rows = if takes_part {
        rows
    } else {
        let mut is_kept = vec![false; fields];
        grouping.fields.iter().for_each(|field| is_kept[field.position] = true);
        kept = rows.keep_fields(&Tensor::from_slice(&is_kept).to_device(device))?;
        &kept
    };
    let (b, groups, width) = (rows.len() as i64, grouping.groups as i64, table.size()[1]);
    let segments = rows.segments()?;
    let (row, field) = (segments.f_div_scalar_mode(fields as i64, "floor")?, segments.f_remainder(fields as i64)?);
    let of_fields = |number: &dyn Fn(&Treatment) -> i64| {
        let mut all = vec![0; fields];
        grouping.fields.iter().for_each(|field| all[field.position] = number(&field.treatment));
        Tensor::from_slice(&all).to_device(device).index_select(0, &field)
    };
    let ids = rows.ids().to_kind(Kind::Int64) - of_fields(&|treatment| treatment.shift);
    let mut vectors = Tensor::f_embedding(table, &ids, -1, false, train)?;
    if let Some(values) = rows.values() {
        vectors *= values.unsqueeze(-1);
    }
    let zeros = |rows: i64, width: i64| Tensor::zeros([rows, width], (Kind::Float, device));
    let place = &row * groups + of_fields(&|treatment| treatment.group as i64);
    let sums = zeros(b * groups, width).f_index_add(0, &place, &vectors)?.view([b, groups, width]);
    let q = grouping.squared as i64;
    if q == 0 {
        return Ok(Sums { sums, squares: None });
    }
    let block = of_fields(&|treatment| treatment.squared_from.unwrap_or_default() as i64 / q);
    let is_squared = of_fields(&|treatment| i64::from(treatment.squared_from.is_some())).to_kind(Kind::Float);
    let own = if q == width {
        vectors.square()
    } else {
        let block = block.view([-1, 1, 1]).expand([-1, 1, q], false);
        vectors.view([-1, width / q, q]).f_gather(1, &block, false)?.squeeze_dim(1).square()
    };
    let squares = zeros(b, q).f_index_add(0, &row, &(own * is_squared.unsqueeze(-1)))?;
    Ok(Sums { sums, squares: Some(squares) })
}

/// Like [`sums`], by loops over the active slots.
fn sums_by_loops(layer: &'static str, table: &Tensor, rows: &Ragged, grouping: &Grouping, train: bool) -> Result<Sums> {
    let (b, groups, width) = (rows.len(), grouping.groups, table.size()[1] as usize);
    let (mut squares, mut outside) = (None, None);
    let sums = no_grad(|| {
        filled(&[b as i64, groups as i64, width as i64], |sums| {
            let squared = filled(&[b as i64, grouping.squared as i64], |squares| {
                let batch = Batch::new(rows, grouping, floats(table)?, width)?;
                outside = batch.add_up(sums, squares);
                Ok(())
            })?;
            squares = (grouping.squared > 0).then_some(squared);
            Ok(())
        })
    })?;
    if let Some(slot) = outside {
        return Err(match rows.slices()?.ids.get(slot) {
            Some(&id) => outside_of(layer, table.size()[0], i64::from(id)),
            None => Error::shape(layer, "offsets that ascend to the number of ids", "others"),
        });
    }
    let outputs = std::iter::once(sums).chain(squares).collect();
    let (of_table, rows, grouping) = (table.detach(), rows.shallow_clone(), grouping.clone());
    let mut outputs = custom(&[table], outputs, move |gradients| {
        let gradients = gradients.iter().map(|gradient| gradient.as_ref().map(Tensor::contiguous));
        let gradients: Vec<Option<Tensor>> = gradients.collect();
        let numbers = |output: usize| gradients.get(output).and_then(Option::as_ref).map(floats).transpose();
        let batch = Batch::new(&rows, &grouping, floats(&of_table)?, width)?;
        let (of_sums, of_squares) = (numbers(0)?, numbers(1)?);
        match rows.row_gradients() {
            Some(collected) if train => {
                let gradient = collected.of(&of_table);
                batch.spread(of_sums, of_squares, &mut *gradient.lock().unwrap_or_else(PoisonError::into_inner));
                Ok(vec![None])
            }
            _ => {
                let mut entries = Entries { width, ids: vec![], values: vec![] };
                batch.spread(of_sums, of_squares, &mut entries);
                Ok(vec![Some(entries.into_gradient(&of_table, train)?)])
            }
        }
    })?;
    let squares = (outputs.len() > 1).then(|| outputs.remove(1));
    Ok(Sums { sums: outputs.remove(0), squares })
}

/// Collects gradients of rows.
trait Sink {
    /// The slice to add a gradient of a table row to.
    fn row(&mut self, row: usize) -> &mut [f32];
}

impl Sink for RowGradient {
    fn row(&mut self, row: usize) -> &mut [f32] {
        self.add(row as u32)
    }
}

/// One gradient per lookup.
struct Entries {
    width: usize,
    ids: Vec<i64>,
    values: Vec<f32>,
}

impl Sink for Entries {
    fn row(&mut self, row: usize) -> &mut [f32] {
        let start = self.values.len();
        self.ids.push(row as i64);
        self.values.resize(start + self.width, 0.0);
        &mut self.values[start..]
    }
}

impl Entries {
    /// The gradient of the whole table, row-sparse or dense.
    fn into_gradient(self, table: &Tensor, is_sparse: bool) -> Result<Tensor> {
        let (ids, values) = (Tensor::from_slice(&self.ids), Tensor::from_slice(&self.values));
        let values = values.view([-1, self.width as i64]);
        match is_sparse {
            true => {
                let options = (Kind::Float, Device::Cpu);
                let size = table.size();
                Ok(Tensor::f_sparse_coo_tensor_indices_size(&ids.unsqueeze(0), &values, size, options, false)?)
            }
            false => Ok(table.zeros_like().f_index_add_(0, &ids, &values)?),
        }
    }
}

/// The slices for the loops.
struct Batch<'a> {
    rows: Slices<'a>,
    num_fields: usize,
    grouping: &'a Grouping,
    table: &'a [f32],
    width: usize,
}

/// The slots of a run of fields of one row.
struct Span<'a> {
    first: usize,
    ids: &'a [i32],
    values: Option<&'a [f32]>,
}

impl Span<'_> {
    /// The id and the value of each slot.
    fn slots(&self) -> impl Iterator<Item = (i64, f32)> {
        let value = |place: usize| self.values.map_or(1.0, |values| values[place]);
        self.ids.iter().enumerate().map(move |(place, &id)| (i64::from(id), value(place)))
    }
}

impl<'a> Batch<'a> {
    fn new(rows: &'a Ragged, grouping: &'a Grouping, table: &'a [f32], width: usize) -> Result<Batch<'a>> {
        Ok(Batch { rows: rows.slices()?, num_fields: rows.layout().num_fields(), grouping, table, width })
    }

    /// The slots of a run of fields of a row. `None` for invalid offsets.
    fn span(&self, row: usize, fields: &Range<usize>) -> Option<Span<'a>> {
        let Slices { ids, values, offsets } = self.rows;
        let offset = |field: usize| usize::try_from(offsets[row * self.num_fields + field]).ok();
        let (first, end) = (offset(fields.start)?, offset(fields.end)?);
        let values = match values {
            Some(values) => Some(values.get(first..end)?),
            None => None,
        };
        Some(Span { first, ids: ids.get(first..end)?, values })
    }

    /// Adds up the rows of the table to `sums` `[B, G, w]` and `squares` `[B, q]`, which are zero before. Stops at the
    /// first slot with an id outside the table and returns it.
    fn add_up(&self, sums: &mut [f32], squares: &mut [f32]) -> Option<usize> {
        let Grouping { groups, squared, runs, .. } = self.grouping;
        for (row, sums) in sums.chunks_exact_mut(groups * self.width).enumerate() {
            let squares = &mut squares[row * squared..][..*squared];
            for Run { fields, treatment } in runs {
                let Some(span) = self.span(row, fields) else { return Some(usize::MAX) };
                let sums = &mut sums[treatment.group * self.width..][..self.width];
                let mut from = 0;
                while from < self.width {
                    let (sums, squares) = (&mut *sums, &mut *squares);
                    let (length, outside) = match self.width - from {
                        16.. => (16, self.add_block::<16>(&span, treatment, from, sums, squares)),
                        8.. => (8, self.add_block::<8>(&span, treatment, from, sums, squares)),
                        4.. => (4, self.add_block::<4>(&span, treatment, from, sums, squares)),
                        _ => (1, self.add_block::<1>(&span, treatment, from, sums, squares)),
                    };
                    if let Some(place) = outside {
                        return Some(span.first + place);
                    }
                    from += length;
                }
            }
        }
        None
    }

    /// Adds up L numbers of each slot's row, starting at `from`, in registers.
    #[inline]
    fn add_block<const L: usize>(
        &self,
        span: &Span<'_>,
        treatment: &Treatment,
        from: usize,
        sums: &mut [f32],
        squares: &mut [f32],
    ) -> Option<usize> {
        let (mut sum, mut square) = ([0f32; L], [0f32; L]);
        match treatment.squared_from {
            None => {
                for (place, (id, x)) in span.slots().enumerate() {
                    let Some(numbers) = self.numbers::<L>(id - treatment.shift, from) else { return Some(place) };
                    sum.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number * x);
                }
            }
            Some(first) => {
                for (place, (id, x)) in span.slots().enumerate() {
                    let Some(numbers) = self.numbers::<L>(id - treatment.shift, from) else { return Some(place) };
                    for (i, number) in numbers.iter().enumerate() {
                        let scaled = number * x;
                        sum[i] += scaled;
                        square[i] += scaled * scaled;
                    }
                }
                for (number, square) in (from..from + L).zip(square) {
                    if let Some(to) = number.checked_sub(first).and_then(|at| squares.get_mut(at)) {
                        *to += square;
                    }
                }
            }
        }
        sums[from..from + L].iter_mut().zip(sum).for_each(|(to, sum)| *to += sum);
        None
    }

    /// L numbers of a row of the table.
    #[inline]
    fn numbers<const L: usize>(&self, row: i64, from: usize) -> Option<&[f32; L]> {
        let start = usize::try_from(row).ok()? * self.width + from;
        self.table.get(start..start + L)?.try_into().ok()
    }

    /// Computes the gradients of the table rows from those of the sums `[B, G, w]` and the squares `[B, q]`, and adds
    /// them to `sink`. A row of the batch whose gradients are all zero adds nothing.
    fn spread(&self, of_sums: Option<&[f32]>, of_squares: Option<&[f32]>, sink: &mut impl Sink) {
        let Grouping { groups, squared, runs, .. } = self.grouping;
        let is_zero = |numbers: &[f32]| numbers.iter().all(|&number| number == 0.0);
        for row in 0..self.rows.offsets.len().saturating_sub(1) / self.num_fields.max(1) {
            let of_squares = of_squares.map(|all| &all[row * squared..][..*squared]).filter(|all| !is_zero(all));
            for Run { fields, treatment } in runs {
                let of_sums = of_sums.map(|all| &all[(row * groups + treatment.group) * self.width..][..self.width]);
                let of_sums = of_sums.filter(|all| !is_zero(all));
                let of_squares = treatment.squared_from.and_then(|first| Some((first, of_squares?)));
                let Some(span) = self.span(row, fields).filter(|_| of_sums.is_some() || of_squares.is_some()) else {
                    continue;
                };
                for (id, x) in span.slots() {
                    let row = (id - treatment.shift) as usize;
                    let to = sink.row(row);
                    if let Some(of_sums) = of_sums {
                        add_scaled(to, x, of_sums);
                    }
                    if let Some((first, of_squares)) = of_squares {
                        let numbers = &self.table[row * self.width + first..][..*squared];
                        add_products(&mut to[first..first + squared], 2.0 * x * x, numbers, of_squares);
                    }
                }
            }
        }
    }
}

/// to ← to + x a
#[inline]
fn add_scaled(to: &mut [f32], x: f32, a: &[f32]) {
    to.iter_mut().zip(a).for_each(|(to, a)| *to += x * a);
}

/// to ← to + x a ⊙ b
#[inline]
fn add_products(to: &mut [f32], x: f32, a: &[f32], b: &[f32]) {
    to.iter_mut().zip(a.iter().zip(b)).for_each(|(to, (a, b))| *to += x * a * b);
}

#[cfg(test)]
mod tests;
