//! Rows without padding.

use tch::{Device, Kind, Tensor};

use super::Padded;
use crate::bridge::{floats, int32s};
use crate::error::{Error, Result};
use crate::optim::RowGradients;
use crate::schema::Layout;
use crate::schema::Schema;

/// The active slots of `B` rows, row by row, and field by field within a row.
///
/// # Shapes
/// With A active slots and F fields: `ids` `[A]` int32, `values` `[A]` float32, `offsets` `[B·F + 1]` int32, on one
/// device.
#[derive(Debug)]
pub struct Ragged {
    layout: Layout,
    ids: Tensor,
    values: Option<Tensor>,
    offsets: Tensor,
    row_gradients: Option<RowGradients>,
}

/// The elements of [`Ragged`] rows on the CPU.
#[derive(Clone, Copy, Debug)]
pub struct Slices<'a> {
    /// `[A]`: rows of the embedding table.
    pub ids: &'a [i32],
    /// `[A]`: the value x of each slot; `None` if all are 1.
    pub values: Option<&'a [f32]>,
    /// `[B·F + 1]`: the first slot of each field of each row, and A.
    pub offsets: &'a [i32],
}

impl Ragged {
    /// Checks slices from outside against the schema, and copies them to CPU memory: `ids` `[A]`, `values` `[A]` or
    /// `None` if all are 1, and `offsets` `[B·F + 1]`, the first slot of each field of each row and, at the end, A.
    ///
    /// # Errors
    /// [`Error::Shape`] for offsets that do not ascend from 0 to A, a field with more slots than in the schema, or
    /// values that are not finite; [`Error::IdOutOfRange`] for an id that its field does not have.
    ///
    /// ```
    /// # use fm_core::{Field, FieldKind, Label, List, Schema, Side, Task, Weighting};
    /// # let genres = FieldKind::MultiValued(List::new("|", 3, Weighting::Sum));
    /// # let fields = vec![
    /// #     Field::new("user", FieldKind::Categorical, Side::User, vec!["a".into()]),
    /// #     Field::new("genres", genres, Side::Item, vec!["Drama".into(), "War".into()]),
    /// # ];
    /// # let schema = Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), fields)?;
    /// use fm_core::features::Ragged;
    /// use fm_core::tch::Tensor;
    ///
    /// // User 1 with two genres, user 0 with none.
    /// let rows = Ragged::new(&schema, &[1, 3, 4, 0], None, &[0, 1, 3, 4, 4])?;
    /// assert_eq!((rows.len(), rows.num_active()), (2, 4));
    /// let padded = rows.padded()?;
    /// assert_eq!(Vec::<Vec<i64>>::try_from(&padded.ids)?, [[1, 3, 4, 2], [0, 2, 2, 2]]);
    /// assert_eq!(Vec::<Vec<f32>>::try_from(&padded.values)?, [[1.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]]);
    /// # Ok::<(), fm_core::Error>(())
    /// ```
    pub fn new(schema: &Schema, ids: &[i32], values: Option<&[f32]>, offsets: &[i32]) -> Result<Ragged> {
        let (layout, fields) = (schema.layout(), schema.num_fields());
        let slots = ids.len();
        let ascends = offsets.windows(2).all(|pair| pair[0] <= pair[1]);
        let spans = offsets.first() == Some(&0) && offsets.last().is_some_and(|&last| last as usize == slots);
        if !ascends || !spans || !(offsets.len() - 1).is_multiple_of(fields.max(1)) {
            let expected = format!("B·{fields} + 1 offsets that ascend from 0 to {slots}");
            return Err(Error::shape("features", expected, format!("{} offsets", offsets.len())));
        }
        if let Some(values) = values {
            if values.len() != slots {
                return Err(Error::shape("features", format!("{slots} values"), values.len().to_string()));
            }
            if !values.iter().all(|value| value.is_finite()) {
                return Err(Error::shape("features", "finite values", "an infinite one or NaN"));
            }
        }
        for (place, pair) in offsets.windows(2).enumerate() {
            let (row, field) = (place / fields, place % fields);
            let (own, in_range) = (&ids[pair[0] as usize..pair[1] as usize], schema.ids(field));
            let most = layout.slots(field).len();
            if own.len() > most {
                let found = format!("{} in row {row}", own.len());
                let name = &schema.fields()[field].name;
                return Err(Error::shape("features", format!("at most {most} slots of field `{name}`"), found));
            }
            if let Some(at) = own.iter().position(|&id| !in_range.contains(&i64::from(id))) {
                return Err(Error::IdOutOfRange {
                    row,
                    slot: layout.slots(field).start + at,
                    id: i64::from(own[at]),
                    field: schema.fields()[field].name.clone(),
                    first: in_range.start,
                    last: in_range.end - 1,
                });
            }
        }
        Ok(Ragged::unchecked(&layout, ids, values, offsets))
    }

    /// Like [`Ragged::new`], for slices that are known to match the layout, such as those of encoded rows.
    ///
    /// Lookups report offsets that do not ascend and ids outside their table. They do not detect an id of another
    /// field.
    pub fn unchecked(layout: &Layout, ids: &[i32], values: Option<&[f32]>, offsets: &[i32]) -> Ragged {
        let (ids, offsets) = (Tensor::from_slice(ids), Tensor::from_slice(offsets));
        Ragged { layout: layout.clone(), ids, values: values.map(Tensor::from_slice), offsets, row_gradients: None }
    }

    /// The active slots of padded rows: those with a value other than 0.
    ///
    /// # Errors
    /// [`Error::Shape`] if the number of slots is not that of the layout; [`Error::Torch`] if libtorch fails.
    pub fn from_padded(layout: &Layout, rows: &Padded) -> Result<Ragged> {
        let slots = layout.num_slots() as i64;
        let found = rows.ids.size();
        if found.len() != 2 || found[1] != slots || rows.values.size() != found {
            return Err(Error::shape("features", format!("ids and values [B, {slots}]"), format!("{found:?}")));
        }
        let is_active = rows.values.ne(0.0);
        let counts = is_active.to_kind(Kind::Int64);
        let of_field = (0..layout.num_fields()).map(|field| {
            let slots = layout.slots(field);
            counts.narrow(1, slots.start as i64, slots.len() as i64).sum_dim_intlist(1, false, Kind::Int64)
        });
        let lengths = Tensor::f_stack(&of_field.collect::<Vec<_>>(), 1)?;
        let ids = rows.ids.f_masked_select(&is_active)?.to_kind(Kind::Int);
        let values = rows.values.f_masked_select(&is_active)?;
        Ok(Ragged {
            layout: layout.clone(),
            ids,
            values: Some(values),
            offsets: offsets_of(&lengths),
            row_gradients: None,
        })
    }

    /// The fields and their slots.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The number of rows B.
    pub fn len(&self) -> usize {
        (self.offsets.numel() - 1) / self.layout.num_fields().max(1)
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of active slots A.
    pub fn num_active(&self) -> usize {
        self.ids.numel()
    }

    /// `[A]` int32: rows of the embedding table.
    pub fn ids(&self) -> &Tensor {
        &self.ids
    }

    /// `[A]` float32: the value x of each slot; `None` if all are 1.
    pub fn values(&self) -> Option<&Tensor> {
        self.values.as_ref()
    }

    /// `[B·F + 1]` int32: the first slot of each field of each row, and A.
    pub fn offsets(&self) -> &Tensor {
        &self.offsets
    }

    /// The same slots with other ids `[A]` int32, such as rows of a smaller table.
    pub fn with_ids(&self, ids: Tensor) -> Ragged {
        Ragged { ids, ..self.shallow_clone() }
    }

    /// From now on, lookups in training add the gradients of their tables to `gradients` instead of autograd.
    pub fn collect_into(&mut self, gradients: RowGradients) {
        self.row_gradients = Some(gradients);
    }

    /// The collector that lookups in training add the gradients of their tables to, if it is not autograd.
    pub fn row_gradients(&self) -> Option<&RowGradients> {
        self.row_gradients.as_ref()
    }

    /// The device of the tensors.
    pub fn device(&self) -> Device {
        self.ids.device()
    }

    /// The elements of the tensors.
    ///
    /// # Errors
    /// [`Error::Shape`] if they are not on the CPU.
    pub fn slices(&self) -> Result<Slices<'_>> {
        let values = self.values.as_ref().map(floats).transpose()?;
        Ok(Slices { ids: int32s(&self.ids)?, values, offsets: int32s(&self.offsets)? })
    }

    /// The same rows, sharing their tensors.
    pub fn shallow_clone(&self) -> Ragged {
        Ragged {
            layout: self.layout.clone(),
            ids: self.ids.shallow_clone(),
            values: self.values.as_ref().map(Tensor::shallow_clone),
            offsets: self.offsets.shallow_clone(),
            row_gradients: self.row_gradients.clone(),
        }
    }

    /// The same rows on another device.
    pub fn to_device(&self, device: Device) -> Ragged {
        Ragged {
            layout: self.layout.clone(),
            ids: self.ids.to_device(device),
            values: self.values.as_ref().map(|values| values.to_device(device)),
            offsets: self.offsets.to_device(device),
            row_gradients: self.row_gradients.clone(),
        }
    }

    /// `[A]` int64: the number b·F + f of each slot, with its row b and field f.
    ///
    /// # Errors
    /// [`Error::Torch`] if libtorch fails.
    pub fn segments(&self) -> Result<Tensor> {
        let lengths = self.offsets.f_diff::<Tensor>(1, 0, None, None)?.to_kind(Kind::Int64);
        Ok(Tensor::f_repeat_interleave(&lengths, self.num_active() as i64)?)
    }

    /// The same rows with every slot of the layout.
    ///
    /// # Errors
    /// [`Error::Torch`] if memory is insufficient.
    pub fn padded(&self) -> Result<Padded> {
        let (device, slots) = (self.device(), self.layout.num_slots() as i64);
        let fields = self.layout.num_fields().max(1) as i64;
        let (rows, segments) = (self.len() as i64, self.segments()?);
        let by_field = |numbers: Vec<i64>| Tensor::from_slice(&numbers).to_device(device);
        let first_slots = (0..self.layout.num_fields()).map(|field| self.layout.slots(field).start as i64);
        let field = segments.f_remainder(fields)?;
        // The slots of row b start at b·S.
        let within = Tensor::arange(self.num_active() as i64, (Kind::Int64, device))
            - self.offsets.f_index_select(0, &segments)?.to_kind(Kind::Int64);
        let place = segments.f_div_scalar_mode(fields, "floor")? * slots
            + by_field(first_slots.collect()).f_index_select(0, &field)?
            + within;
        let of_slots = self.layout.field_of_slots().iter().map(|&field| self.layout.padding_ids()[field]).collect();
        let ids = by_field(of_slots).f_repeat([rows, 1])?.view([-1]);
        let ids = ids.f_index_copy(0, &place, &self.ids.to_kind(Kind::Int64))?;
        let ones = || Tensor::ones([self.num_active() as i64], (Kind::Float, device));
        let values = self.values.as_ref().map_or_else(ones, Tensor::shallow_clone);
        let values = Tensor::f_zeros([rows * slots], (Kind::Float, device))?.f_index_copy(0, &place, &values)?;
        Ok(Padded { ids: ids.view([rows, slots]), values: values.view([rows, slots]) })
    }

    /// The rows with these numbers `[n]` int64, in this order.
    ///
    /// # Errors
    /// [`Error::Torch`] for a number that is not below B.
    pub fn select(&self, rows: &Tensor) -> Result<Ragged> {
        // `fields` would read the offsets of all rows, which may be a whole data set.
        let fields = self.layout.num_fields() as i64;
        let places = rows.unsqueeze(-1) * fields + Tensor::arange(fields, (Kind::Int64, self.device()));
        let offsets = |places: &Tensor| -> Result<Tensor> {
            let offsets = self.offsets.f_index_select(0, &places.view([-1]))?;
            Ok(offsets.to_kind(Kind::Int64).view([-1, fields]))
        };
        let starts = offsets(&places)?;
        let lengths = offsets(&(&places + 1))? - &starts;
        self.gather(&starts, &lengths)
    }

    /// The same rows without the slots of the fields for which `is_kept` `[F]` bool is false.
    ///
    /// # Errors
    /// [`Error::Torch`] if libtorch fails.
    pub fn keep_fields(&self, is_kept: &Tensor) -> Result<Ragged> {
        let (starts, lengths) = self.fields();
        self.gather(&starts, &(lengths * is_kept))
    }

    /// The first slot and the number of slots of each field of each row, both `[B, F]` int64.
    pub(crate) fn fields(&self) -> (Tensor, Tensor) {
        let (fields, n) = (self.layout.num_fields() as i64, self.offsets.numel() as i64 - 1);
        let offsets = self.offsets.to_kind(Kind::Int64);
        let starts = offsets.narrow(0, 0, n);
        let lengths = offsets.narrow(0, 1, n) - &starts;
        (starts.view([-1, fields]), lengths.view([-1, fields]))
    }

    /// Rows made of runs of this batch's slots. `starts` and `lengths`, both `[n, F]` int64, are the first slot and the
    /// number of slots of each field of each row.
    pub(crate) fn gather(&self, starts: &Tensor, lengths: &Tensor) -> Result<Ragged> {
        let offsets = offsets_of(lengths);
        let active = i64::try_from(offsets.get(-1))?;
        let lengths = lengths.reshape([-1]);
        let shift = starts.reshape([-1]) - offsets.narrow(0, 0, lengths.numel() as i64);
        let place = shift.f_repeat_interleave_self_tensor(&lengths, 0, active)?
            + Tensor::arange(active, (Kind::Int64, self.device()));
        let pick = |tensor: &Tensor| tensor.f_index_select(0, &place);
        Ok(Ragged {
            layout: self.layout.clone(),
            ids: pick(&self.ids)?,
            values: self.values.as_ref().map(pick).transpose()?,
            offsets,
            row_gradients: self.row_gradients.clone(),
        })
    }

    /// The slots of this batch followed by those of another batch with the same layout, for [`Ragged::gather`].
    pub(crate) fn followed_by(&self, other: &Ragged) -> Result<Ragged> {
        let ones = |rows: &Ragged| Tensor::ones([rows.num_active() as i64], (Kind::Float, rows.device()));
        let values_of = |rows: &Ragged| rows.values.as_ref().map_or_else(|| ones(rows), Tensor::shallow_clone);
        let values = match (&self.values, &other.values) {
            (None, None) => None,
            _ => Some(Tensor::f_cat(&[values_of(self), values_of(other)], 0)?),
        };
        let shifted = other.offsets.narrow(0, 1, other.offsets.numel() as i64 - 1) + self.num_active() as i64;
        Ok(Ragged {
            layout: self.layout.clone(),
            ids: Tensor::f_cat(&[&self.ids, &other.ids], 0)?,
            values,
            offsets: Tensor::f_cat(&[&self.offsets, &shifted], 0)?,
            row_gradients: self.row_gradients.clone(),
        })
    }
}

/// `[n + 1]` int32: the starts of runs of these lengths, and the end of the last run.
fn offsets_of(lengths: &Tensor) -> Tensor {
    let ends = lengths.reshape([-1]).cumsum(0, Kind::Int64);
    Tensor::cat(&[Tensor::zeros([1], (Kind::Int64, lengths.device())), ends], 0).to_kind(Kind::Int)
}
