//! Which slots of a padded row belong to which field.

use std::ops::Range;
use std::sync::Arc;

/// The fields of a row: the slots of each in a padded row, and the id of its padding. Cheap to clone.
///
/// ```
/// # use fm_core::{Field, FieldKind, Label, List, Schema, Side, Task, Weighting};
/// # let genres = FieldKind::MultiValued(List::new("|", 3, Weighting::Mean));
/// # let fields = vec![
/// #     Field::new("user", FieldKind::Categorical, Side::User, vec!["a".into()]),
/// #     Field::new("genres", genres, Side::Item, vec!["Drama".into(), "War".into()]),
/// # ];
/// # let schema = Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), fields)?;
/// let layout = schema.layout(); // user: slot 0; genres: slots 1 to 3
/// assert_eq!((layout.num_fields(), layout.num_slots(), layout.slots(1)), (2, 4, 1..4));
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Layout(Arc<Fields>);

#[derive(Debug, PartialEq, Eq)]
struct Fields {
    /// `[F + 1]`
    first_slots: Vec<usize>,
    /// `[F]`
    padding_ids: Vec<i64>,
}

impl PartialEq for Layout {
    fn eq(&self, other: &Layout) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Layout {}

impl Layout {
    /// The layout of rows with these slots `[F + 1]`, the end among them, and ids of paddings `[F]`.
    pub(super) fn new(first_slots: Vec<usize>, padding_ids: Vec<i64>) -> Layout {
        Layout(Arc::new(Fields { first_slots, padding_ids }))
    }

    /// The number of fields F.
    pub fn num_fields(&self) -> usize {
        self.0.padding_ids.len()
    }

    /// The number of slots S of a padded row.
    pub fn num_slots(&self) -> usize {
        *self.0.first_slots.last().unwrap_or(&0)
    }

    /// The slots of a field in a padded row.
    ///
    /// # Panics
    /// If `field` is not below [`Layout::num_fields`].
    pub fn slots(&self, field: usize) -> Range<usize> {
        self.0.first_slots[field]..self.0.first_slots[field + 1]
    }

    /// `[S]`: the field of each slot of a padded row.
    pub fn field_of_slots(&self) -> Vec<usize> {
        (0..self.num_fields()).flat_map(|field| self.slots(field).map(move |_| field)).collect()
    }

    /// `[F]`: the id of a field's padding.
    pub(crate) fn padding_ids(&self) -> &[i64] {
        &self.0.padding_ids
    }
}
