//! Adds the fields that are derived from other rows of the table, after the split decides which rows train.

use std::iter::once;

use polars::prelude::*;

use crate::error::{Error, Result};
use crate::fit::{MAX_LEN, longest, most_distinct};
use crate::history::{Likes, companions, liked_history};
use crate::source::DeclaredTable;
use crate::spec::{FieldOrigin, FieldSpecKind};
use crate::table::{Present, TextColumn, values};

/// Adds a column of lists for each declared field that is derived from other rows. The field gets as many slots as the
/// longest list of the training rows needs. `user` and `item` are the columns that identify users and items.
///
/// # Errors
/// [`Error::Spec`] for a table without times, users or items, or a field that is not multi-valued.
pub(crate) fn add(table: &mut DeclaredTable, user: Option<&str>, item: Option<&str>, train: &[u32]) -> Result<()> {
    let DeclaredTable { rows, spec, labels, timestamps, items: list_of_items, .. } = table;
    let declared = spec.clone();
    let reading = |name: &str| declared.reading(name);
    for field in spec.fields.iter_mut().filter(|field| field.origin != FieldOrigin::Column) {
        let invalid =
            |needed: &str| Error::Spec(format!("field `{}` is derived from other rows and needs {needed}", field.name));
        let is_sequence = matches!(field.kind, FieldSpecKind::Sequence(_));
        let (FieldSpecKind::MultiValued(list) | FieldSpecKind::Sequence(list)) = &mut field.kind else {
            return Err(invalid("to be multi-valued"));
        };
        let timestamps = timestamps.as_deref().ok_or_else(|| invalid("their times"))?;
        let (user, item) = user.zip(item).ok_or_else(|| invalid("their user and item"))?;
        let own = rows.clone();
        let (users, items) = (Present::of(&own, user, reading(user))?, Present::of(&own, item, reading(item))?);
        let (limit, separator) = (list.max_len.unwrap_or(MAX_LEN), list.separator.as_str());
        let name = &field.name;
        match field.origin {
            FieldOrigin::Column => continue,
            FieldOrigin::LikedBefore { least } => {
                let likes =
                    Likes { users: &users.codes(), items: &items, labels, timestamps, train, liked: least, separator };
                rows.with_column(name, liked_history(&likes, limit))?;
            }
            FieldOrigin::ItemsOfUser => {
                let items = companions(&users.codes(), &items, timestamps, train, (separator, limit));
                rows.with_column(name, once(items))?;
            }
            FieldOrigin::UsersOfItem => {
                let users = companions(&items.codes(), &users, timestamps, train, (separator, limit));
                rows.with_column(name, once(users))?;
            }
        }
        let cells = Present::of(rows, name, reading(name))?;
        let slots = if is_sequence { longest } else { most_distinct };
        list.max_len = Some(slots(&cells, &list.with_slots(limit), train));
        if let (FieldOrigin::UsersOfItem, Some(list)) = (field.origin, list_of_items.as_mut()) {
            let of_items = of_items(&values(list, item, reading(item))?, &items, &cells.cells);
            list.with_column(of_items.with_name(field.name.as_str().into()).into_column())?;
        }
    }
    Ok(())
}

/// The list of each of some items, given the item and the list of each row. All rows of an item have the same list.
fn of_items(wanted: &StringChunked, items: &Present<'_>, lists: &TextColumn<'_>) -> StringChunked {
    let rows = 0..lists.len() as u32;
    let known: PlHashMap<&str, Option<&str>> =
        rows.filter_map(|row| Some((items.value(row)?, lists.get(row as usize)))).collect();
    wanted.iter().map(|item| *known.get(item?)?).collect()
}

#[cfg(test)]
mod tests {
    use fm_core::{Side, Weighting};

    use super::*;
    use crate::source::Division;
    use crate::spec::{FieldSpec, ListSpec, TableSpec};
    use crate::table::{CompactTable, Origin, TextColumns};

    /// Users u and v rate items a, b and c at times 1 to 4.
    fn table(origin: FieldOrigin, max_len: Option<usize>) -> DeclaredTable {
        let kind = FieldSpecKind::MultiValued(ListSpec::new("|", max_len, Weighting::Mean));
        let field = FieldSpec { origin, ..FieldSpec::new("list", kind, Side::Context) };
        DeclaredTable {
            rows: CompactTable::try_from(&df!("user" => ["u", "v", "u", "u"], "item" => ["a", "a", "b", "c"]).unwrap())
                .unwrap(),
            spec: TableSpec::new("stars", vec![field]),
            labels: vec![5.0, 1.0, 5.0, 1.0],
            timestamps: Some(vec![1, 2, 3, 4]),
            weights: None,
            division: Division::Undivided,
            items: Some(df!("item" => ["c", "b", "a", "d"]).unwrap()),
            least_positive: None,
            origin: Origin::default(),
        }
    }

    fn texts(rows: &impl TextColumns) -> Vec<Option<String>> {
        rows.texts("list").unwrap().iter().map(|cell| cell.map(str::to_owned)).collect()
    }

    #[test]
    fn each_origin_has_its_lists_and_as_many_slots_as_the_training_rows_fill() {
        for (origin, lists, slots) in [
            (FieldOrigin::LikedBefore { least: 5.0 }, ["-", "-", "a", "b|a"], 2),
            (FieldOrigin::ItemsOfUser, ["c|b|a", "a", "c|b|a", "c|b|a"], 3),
            (FieldOrigin::UsersOfItem, ["v|u", "v|u", "u", "u"], 2),
        ] {
            let mut table = table(origin, None);
            add(&mut table, Some("user"), Some("item"), &[0, 1, 2, 3]).unwrap();
            let expected = lists.map(|list| Some(list.to_owned()).filter(|list| list != "-"));
            assert_eq!(texts(&table.rows), expected, "{origin:?}");
            let max_len = table.spec.fields[0].kind.list().unwrap().max_len;
            assert_eq!(max_len, Some(slots), "{origin:?}");
        }
    }

    #[test]
    fn a_list_of_an_items_users_is_also_a_column_of_the_items() {
        let mut table = table(FieldOrigin::UsersOfItem, Some(1));
        add(&mut table, Some("user"), Some("item"), &[0, 1, 2]).unwrap();
        let expected = [None, Some("u"), Some("v"), None].map(|list| list.map(str::to_owned));
        assert_eq!(texts(table.items.as_ref().unwrap()), expected);
    }

    #[test]
    fn a_list_without_users_items_or_times_is_an_error() {
        let message = |table: &mut DeclaredTable, user| add(table, user, Some("item"), &[0]).unwrap_err().to_string();
        let origin = FieldOrigin::ItemsOfUser;
        assert!(message(&mut table(origin, None), None).ends_with("needs their user and item"));
        let mut timeless = DeclaredTable { timestamps: None, ..table(origin, None) };
        assert!(message(&mut timeless, Some("user")).ends_with("needs their times"));
    }
}
