//! The items of a catalogue as slots, and rows in which they replace the row's own item.

use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::features::{Features, Ragged};
use crate::schema::Schema;

/// The slots of each of the I items of a catalogue: see [`Schema::item_slots`]. The index of an item in the catalogue,
/// from 0, identifies it.
///
/// ```
/// use fm_core::ranking::ItemSlots;
/// use fm_core::{Encoder, Field, FieldKind::Categorical, Label, Schema, Side, Task, tch::Tensor};
///
/// let user = Field::new("user", Categorical, Side::User, vec!["ann".into(), "bob".into()]);
/// let item = Field::new("item", Categorical, Side::Item, vec!["a".into(), "b".into()]);
/// let label = Label::fit("seen", Task::Ranking { threshold: None }, [1.0]);
/// let schema = Schema::new(label, vec![user, item])?;
/// let encoder = Encoder::new(&schema);
///
/// let items = ItemSlots::new(&schema, &encoder.features(&[[None, Some("a")], [None, Some("b")]])?)?;
/// let row = encoder.features(&[[Some("bob"), Some("a")]])?; // ids 2 and 4
/// let candidates = items.candidates(&row, &Tensor::from_slice(&[1i64, 0]).view([1, 2]))?;
/// assert_eq!(Vec::<Vec<i64>>::try_from(&candidates.features()?.padded()?.ids)?, [[2, 5], [2, 4]]); // bob with b, and with a
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ItemSlots {
    /// `[F]` bool: the fields of an item.
    is_item: Tensor,
    /// The items as rows without any other field.
    items: Ragged,
}

impl ItemSlots {
    /// Takes the slots of the items from rows that represent them. All other slots are ignored.
    ///
    /// # Errors
    /// [`Error::Schema`] if no field describes items; [`Error::Shape`] for no item, or rows of another schema.
    pub fn new(schema: &Schema, items: &Features) -> Result<ItemSlots> {
        let (layout, mut is_item) = (schema.layout(), vec![false; schema.num_fields()]);
        let field_of_slots = layout.field_of_slots();
        schema.item_slots().for_each(|slot| is_item[field_of_slots[slot]] = true);
        if !is_item.contains(&true) {
            return Err(Error::Schema(
                "no field describes items, so all items would have the same score: declare one with `side = \"item\"`"
                    .into(),
            ));
        }
        let items = items.ragged(&layout)?;
        if items.is_empty() || items.layout() != &layout {
            let expected = format!("items as rows of {} fields, at least one", schema.num_fields());
            let found = format!("{} rows of {} fields", items.len(), items.layout().num_fields());
            return Err(Error::shape("catalogue", expected, found));
        }
        let is_item = Tensor::from_slice(&is_item).to_device(items.device());
        let items = items.keep_fields(&is_item)?;
        Ok(ItemSlots { is_item, items })
    }

    /// The number of items I.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are no items. [`ItemSlots::new`] excludes this.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The device of the tensors.
    pub fn device(&self) -> Device {
        self.items.device()
    }

    /// The same items, sharing their tensors.
    pub fn shallow_clone(&self) -> ItemSlots {
        ItemSlots { is_item: self.is_item.shallow_clone(), items: self.items.shallow_clone() }
    }

    /// The same items on another device.
    pub fn to_device(&self, device: Device) -> ItemSlots {
        ItemSlots { is_item: self.is_item.to_device(device), items: self.items.to_device(device) }
    }

    /// The items as rows without any other field.
    pub fn features(&self) -> Features {
        self.items.shallow_clone().into()
    }

    /// Rows without their own items.
    ///
    /// # Errors
    /// [`Error::Shape`] for rows of another schema, [`Error::Torch`] if memory is insufficient.
    pub fn without_items(&self, rows: &Features) -> Result<Features> {
        Ok(self.ragged(rows)?.keep_fields(&self.is_item.logical_not())?.into())
    }

    /// Rows of the schema of the items.
    fn ragged(&self, rows: &Features) -> Result<Ragged> {
        let rows = rows.ragged(self.items.layout())?;
        if rows.layout() != self.items.layout() {
            let expected = format!("rows of the items' {} fields", self.items.layout().num_fields());
            return Err(Error::shape("candidates", expected, format!("{} fields", rows.layout().num_fields())));
        }
        Ok(rows)
    }

    /// Each of B rows with c items instead of its own, given as `[B, c]` int64.
    ///
    /// # Errors
    /// [`Error::Shape`] for items of another number of rows, for rows of another schema or, on the CPU, for an item
    /// outside the catalogue.
    pub fn candidates<'a>(&'a self, rows: &Features, items: &Tensor) -> Result<Candidates<'a>> {
        let size = match items.size()[..] {
            [of_rows, c] if of_rows == rows.len() as i64 => [of_rows, c],
            ref found => {
                return Err(Error::shape("candidates", format!("items [{}, c]", rows.len()), format!("{found:?}")));
            }
        };
        let rows = self.ragged(rows)?;
        let places = items.flatten(0, -1);
        let outside = places.lt(0).logical_or(&places.ge(self.len() as i64));
        // On a CUDA device, the check would wait for all pending work.
        if places.device() == Device::Cpu && bool::try_from(outside.any())? {
            let found = i64::try_from(places.masked_select(&outside).get(0))?.to_string();
            return Err(Error::shape("candidates", format!("items below {}", self.len()), found));
        }
        Ok(Candidates { rows, catalogue: self, places, size })
    }
}

/// B rows, each with c items instead of its own: the result of [`ItemSlots::candidates`].
#[derive(Debug)]
pub struct Candidates<'a> {
    rows: Ragged,
    catalogue: &'a ItemSlots,
    /// `[B · c]` int64: the item of each candidate.
    places: Tensor,
    size: [i64; 2],
}

impl Candidates<'_> {
    /// `[B, c]`.
    pub fn size(&self) -> [i64; 2] {
        self.size
    }

    /// The B rows, each with its own item.
    pub(crate) fn rows(&self) -> &Ragged {
        &self.rows
    }

    /// All candidates as B · c rows, those of the first row first.
    ///
    /// # Errors
    /// [`Error::Torch`] if memory is insufficient.
    pub fn features(&self) -> Result<Features> {
        let ItemSlots { is_item, items } = self.catalogue;
        let repeated = |of_rows: Tensor| of_rows.f_repeat_interleave_self_int(self.size[1], 0, None);
        let ((starts, lengths), (item_starts, item_lengths)) = (self.rows.fields(), items.fields());
        // The slots of the items follow those of the rows.
        let item_starts = item_starts.f_index_select(0, &self.places)? + self.rows.num_active() as i64;
        let starts = item_starts.f_where_self(is_item, &repeated(starts)?)?;
        let lengths = item_lengths.f_index_select(0, &self.places)?.f_where_self(is_item, &repeated(lengths)?)?;
        Ok(self.rows.followed_by(items)?.gather(&starts, &lengths)?.into())
    }

    /// The part that the candidates of a row share: the B rows without their own items.
    ///
    /// # Errors
    /// [`Error::Torch`] if memory is insufficient.
    pub fn shared(&self) -> Result<Features> {
        Ok(self.rows.keep_fields(&self.catalogue.is_item.logical_not())?.into())
    }

    /// The part that the candidates do not share: D items as rows without any other field, and the row of each
    /// candidate's item, `[B · c]` int64. The rows are the whole catalogue if that is smaller than the number of
    /// candidates.
    ///
    /// # Errors
    /// [`Error::Torch`] if memory is insufficient.
    pub fn items(&self) -> Result<(Features, Tensor)> {
        let items = &self.catalogue.items;
        // Collect their gradients with those of the rows.
        let collecting = |mut items: Ragged| {
            self.rows.row_gradients().into_iter().for_each(|gradients| items.collect_into(gradients.clone()));
            Features::from(items)
        };
        if items.len() <= self.places.numel() {
            return Ok((collecting(items.shallow_clone()), self.places.shallow_clone()));
        }
        let places = Tensor::f_arange(self.places.numel() as i64, (Kind::Int64, items.device()))?;
        Ok((collecting(items.select(&self.places)?), places))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::Encoder;
    use crate::schema::{Field, FieldKind, Label, List, Side, Task, Weighting};

    fn schema() -> Schema {
        let words = |words: &[&str]| words.iter().map(|&word| word.into()).collect();
        let genres = FieldKind::MultiValued(List::new("|", 2, Weighting::Mean));
        let fields = vec![
            Field::new("film", FieldKind::Categorical, Side::Item, words(&["f", "g"])),
            Field::new("age", FieldKind::Numeric { mean: 0.0, std: 1.0 }, Side::User, vec![]),
            Field::new("genres", genres, Side::Item, words(&["drama", "war"])),
            Field::new("hour", FieldKind::Categorical, Side::Context, words(&["1", "2"])),
        ];
        Schema::new(Label::fit("seen", Task::Ranking { threshold: None }, [1.0]), fields).unwrap()
    }

    #[test]
    fn candidates_are_the_rows_with_the_slots_of_other_items() {
        let schema = schema();
        let encoder = Encoder::new(&schema);
        let films = [[Some("f"), None, Some("drama|war"), None], [Some("g"), Some("9"), Some("war"), Some("2")]];
        let items = ItemSlots::new(&schema, &encoder.features(&films).unwrap()).unwrap();
        let rows = encoder
            .features(&[[Some("g"), Some("30"), Some("war"), Some("1")], [Some("x"), Some("40"), None, Some("2")]])
            .unwrap();
        let found = items.candidates(&rows, &Tensor::from_slice(&[1i64, 0, 0, 1]).view([2, 2])).unwrap();
        let expected = encoder
            .features(&[
                [Some("g"), Some("30"), Some("war"), Some("1")],
                [Some("f"), Some("30"), Some("drama|war"), Some("1")],
                [Some("f"), Some("40"), Some("drama|war"), Some("2")],
                [Some("g"), Some("40"), Some("war"), Some("2")],
            ])
            .unwrap();
        let (all, expected) = (found.features().unwrap().padded().unwrap(), expected.padded().unwrap());
        assert!(all.ids.equal(&expected.ids) && all.values.equal(&expected.values));
        let (own, places) = found.items().unwrap();
        assert_eq!((found.size(), own.len(), Vec::<i64>::try_from(places).unwrap()), ([2, 2], 2, vec![1, 0, 0, 1]));
        let own = own.padded().unwrap().values.sum_dim_intlist(0, false, Kind::Float);
        assert_eq!(Vec::<f32>::try_from(own).unwrap(), [2.0, 0.0, 1.5, 0.5, 0.0], "film and genres");
        let shared = found.shared().unwrap().padded().unwrap().values;
        let ages_and_hours = Vec::<Vec<f32>>::try_from(shared).unwrap();
        assert_eq!(ages_and_hours, [[0.0, 30.0, 0.0, 0.0, 1.0], [0.0, 40.0, 0.0, 0.0, 1.0]]);
        assert_eq!(items.len(), 2);
        assert!(items.candidates(&rows, &Tensor::from_slice(&[2i64, 0]).view([2, 1])).is_err());
        assert!(items.candidates(&rows, &Tensor::from_slice(&[0i64]).view([1, 1])).is_err());
    }

    #[test]
    fn an_empty_catalogue_or_one_without_fields_is_an_error() {
        let schema = schema();
        let none = Encoder::new(&schema).features(&[[None; 4]; 0]).unwrap();
        assert!(
            ItemSlots::new(&schema, &none).unwrap_err().to_string().contains("at least one, found 0 rows of 4 fields")
        );
        let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into()]);
        let schema = Schema::new(schema.label().clone(), vec![user]).unwrap();
        let row = Encoder::new(&schema).features(&[[None]]).unwrap();
        assert!(ItemSlots::new(&schema, &row).unwrap_err().to_string().contains("side = \"item\""));
    }
}
