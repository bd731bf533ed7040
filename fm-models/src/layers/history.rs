//! The fields of a row's history and of the item that it is compared with.

use fm_core::{Error, FieldKind, Result, Schema};
use tch::{Kind, Tensor};

/// A sequence of earlier items, and the field of the row's own item, whose table the sequence shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// The position of the sequence in the schema.
    pub sequence: usize,
    /// The position of the field of the item.
    pub item: usize,
}

impl History {
    /// The sequences of a schema that share the table of a field with one value.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is none.
    ///
    /// ```
    /// use fm_core::{Field, FieldKind, Label, List, Schema, Side, Task, Weighting};
    /// use fm_models::layers::History;
    ///
    /// let seen = FieldKind::Sequence(List::new("|", 50, Weighting::Sum));
    /// let fields = vec![
    ///     Field::new("seen", seen, Side::User, vec![]).sharing("film"),
    ///     Field::categorical("film", Side::Item, 100),
    /// ];
    /// let schema = Schema::new(Label::fit("liked", Task::Regression, [0.0, 1.0]), fields)?;
    /// assert_eq!(History::all(&schema)?, [History { sequence: 0, item: 1 }]);
    /// # Ok::<(), fm_core::Error>(())
    /// ```
    pub fn all(schema: &Schema) -> Result<Vec<History>> {
        let fields = schema.fields();
        let of = |sequence: usize| {
            let item = schema.owner(sequence);
            let is_history = matches!(fields[sequence].kind, FieldKind::Sequence(_))
                && matches!(fields[item].kind, FieldKind::Categorical);
            is_history.then_some(History { sequence, item })
        };
        let found: Vec<History> = (0..fields.len()).filter_map(of).collect();
        if found.is_empty() {
            let item = schema.item().unwrap_or("the item's field");
            return Err(Error::Setting(format!(
                "no field is a sequence of earlier items: add one with kind = \"sequence\", history = true and \
                 shares = \"{item}\"; MovieLens has it with data.history_form = \"sequence\""
            )));
        }
        Ok(found)
    }

    /// The only history of a schema, or that which shares the table of the field that identifies the item.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is none, or several and none of them is of the item.
    pub fn of_item(schema: &Schema) -> Result<History> {
        let all = History::all(schema)?;
        let is_of_item = |history: &&History| schema.item() == Some(&schema.fields()[history.item].name);
        let mut of_item = all.iter().filter(is_of_item);
        match (&all[..], of_item.next(), of_item.next()) {
            ([only], ..) | (_, Some(only), None) => Ok(*only),
            _ => {
                let names: Vec<&str> =
                    all.iter().map(|history| schema.fields()[history.sequence].name.as_str()).collect();
                Err(Error::Setting(format!(
                    "several fields are histories, {}: leave out all but one",
                    names.join(", ")
                )))
            }
        }
    }
}

/// 1 for a slot with a value, and 0 for padding, from the values x of the slots.
pub(crate) fn is_there(x: &Tensor) -> Tensor {
    x.ne(0.0).to_kind(Kind::Float)
}
