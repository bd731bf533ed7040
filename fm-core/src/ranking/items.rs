//! The items of a catalogue as slots, and rows in which they take the place of the row's own.

use tch::{Device, Tensor};

use crate::batch::Features;
use crate::error::{Error, Result};
use crate::schema::Schema;

/// What each of the I items of a catalogue fills into the slots that are an item's: [`Schema::item_slots`]. An item is known
/// by its place in the catalogue, from 0.
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
/// assert_eq!(Vec::<Vec<i64>>::try_from(&candidates.features()?.ids)?, [[2, 5], [2, 4]]); // bob with b, and with a
/// # Ok::<(), fm_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ItemSlots {
    /// `[S_item]` int64: places in a row.
    slots: Tensor,
    /// `[I, S_item]` int64.
    ids: Tensor,
    /// `[I, S_item]` float32.
    values: Tensor,
}

impl ItemSlots {
    /// Takes the items' slots out of rows that stand for the items, `[I, S]`; what their other slots hold does not matter.
    ///
    /// # Errors
    /// [`Error::Schema`] if no field is an item's; [`Error::Shape`] for no item, or rows of another schema.
    pub fn new(schema: &Schema, items: &Features) -> Result<ItemSlots> {
        let slots: Vec<i64> = schema.item_slots().map(|slot| slot as i64).collect();
        if slots.is_empty() {
            return Err(Error::Schema(
                "no field is an item's, so that all items would have the same score: declare one with `side = \"item\"`"
                    .into(),
            ));
        }
        let found = items.ids.size();
        if items.is_empty() || found[1..] != [schema.num_slots() as i64] {
            let expected = format!("items as rows [I, {}], I ≥ 1", schema.num_slots());
            return Err(Error::shape("catalogue", expected, format!("{found:?}")));
        }
        let slots = Tensor::from_slice(&slots).to_device(items.ids.device());
        let of_items = |tensor: &Tensor| tensor.index_select(1, &slots);
        Ok(ItemSlots { ids: of_items(&items.ids), values: of_items(&items.values), slots })
    }

    /// I, the number of items.
    pub fn len(&self) -> usize {
        self.ids.size()[0] as usize
    }

    /// Whether there is no item. There always is one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where they are.
    pub fn device(&self) -> Device {
        self.ids.device()
    }

    /// The same items, of the same tensors.
    pub fn shallow_clone(&self) -> ItemSlots {
        self.to_device(self.device())
    }

    /// The same items on another device.
    pub fn to_device(&self, device: Device) -> ItemSlots {
        let ItemSlots { slots, ids, values } = self;
        ItemSlots { slots: slots.to_device(device), ids: ids.to_device(device), values: values.to_device(device) }
    }

    /// Each of B rows, features `[B, S]`, with c items `[B, c]` int64 in the place of its own.
    ///
    /// # Errors
    /// [`Error::Shape`] for items of other rows; [`Error::Torch`] for one outside the catalogue.
    pub fn candidates<'a>(&'a self, rows: &'a Features, items: &Tensor) -> Result<Candidates<'a>> {
        let size = match items.size()[..] {
            [of_rows, c] if of_rows == rows.len() as i64 => [of_rows, c],
            ref found => {
                return Err(Error::shape("candidates", format!("items [{}, c]", rows.len()), format!("{found:?}")));
            }
        };
        let items = items.flatten(0, -1);
        let of_items = |all: &Tensor| all.f_index_select(0, &items);
        let items = Features::unchecked(of_items(&self.ids)?, of_items(&self.values)?);
        Ok(Candidates { rows, slots: &self.slots, items, size })
    }
}

/// B rows, each with c items in the place of its own: what [`ItemSlots::candidates`] gives.
#[derive(Debug)]
pub struct Candidates<'a> {
    rows: &'a Features,
    /// `[S_item]` int64: places in a row.
    slots: &'a Tensor,
    items: Features,
    size: [i64; 2],
}

impl Candidates<'_> {
    /// [B, c].
    pub fn size(&self) -> [i64; 2] {
        self.size
    }

    /// All of them as rows, `[B · c, S]`: those of the first row first.
    ///
    /// # Errors
    /// [`Error::Torch`] for more than memory holds.
    pub fn features(&self) -> Result<Features> {
        let replaced = |rows: &Tensor, items: &Tensor| -> Result<Tensor> {
            let repeated = rows.f_repeat_interleave_self_int(self.size[1], 0, None)?;
            Ok(repeated.f_index_copy(1, self.slots, items)?)
        };
        let Features { ids, values } = &self.items;
        Ok(Features::unchecked(replaced(&self.rows.ids, ids)?, replaced(&self.rows.values, values)?))
    }

    /// What the candidates of a row share, `[B, S]`: the row, with padding in the place of its item.
    ///
    /// # Errors
    /// [`Error::Torch`] for more than memory holds.
    pub fn shared(&self) -> Result<Features> {
        let Features { ids, values } = self.rows;
        Ok(Features::unchecked(ids.shallow_clone(), values.f_index_fill(1, self.slots, 0.0)?))
    }

    /// What they do not share, `[B · c, S_item]`: the slots that are an item's.
    pub fn items(&self) -> &Features {
        &self.items
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::encoder::Encoder;
    use crate::schema::{Field, FieldKind, Label, Side, Task, Weighting};

    fn schema() -> Schema {
        let words = |words: &[&str]| words.iter().map(|&word| word.into()).collect();
        let genres = FieldKind::MultiValued { separator: "|".into(), max_len: 2, weighting: Weighting::Mean };
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
        let all = found.features().unwrap();
        assert!(all.ids.equal(&expected.ids) && all.values.equal(&expected.values));
        assert_eq!((found.size(), found.items().ids.size()), ([2, 2], vec![4, 3]));
        let shared = found.shared().unwrap().values;
        assert!(shared.index_select(1, &items.slots).abs().max().double_value(&[]) == 0.0);
        assert_eq!(shared.sum(Kind::Float).double_value(&[]), 30.0 + 1.0 + 40.0 + 1.0, "age and hour are left");
        assert_eq!(items.len(), 2);
        assert!(items.candidates(&rows, &Tensor::from_slice(&[2i64, 0]).view([2, 1])).is_err());
        assert!(items.candidates(&rows, &Tensor::from_slice(&[0i64]).view([1, 1])).is_err());
    }

    #[test]
    fn a_catalogue_of_nothing_or_without_a_field_of_its_own_is_refused() {
        let schema = schema();
        let none = Encoder::new(&schema).features(&[[None; 4]; 0]).unwrap();
        assert!(ItemSlots::new(&schema, &none).unwrap_err().to_string().contains("I ≥ 1, found [0, 5]"));
        let user = Field::new("user", FieldKind::Categorical, Side::User, vec!["ann".into()]);
        let schema = Schema::new(schema.label().clone(), vec![user]).unwrap();
        let row = Encoder::new(&schema).features(&[[None]]).unwrap();
        assert!(ItemSlots::new(&schema, &row).unwrap_err().to_string().contains("side = \"item\""));
    }
}
