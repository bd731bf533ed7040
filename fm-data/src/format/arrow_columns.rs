//! The columns of a file with Arrow's types, and the form in which they are read.

use arrow::datatypes::{ArrowDataType, Field};
use polars::prelude::PlSmallStr;

use super::cells::Form;
use super::list::IS_LIST;
use super::selection::{Chosen, ListText, Selection};

/// The error about values without a text.
const HAS_NO_TEXT: &str = "holds maps, structs or nested lists: store it as text, as numbers or as a plain list";

/// The name of the type of identifiers of 16 bytes.
const UUID: &str = "arrow.uuid";

/// A column to read.
pub(super) struct ArrowColumn {
    /// Its name in the table.
    pub name: PlSmallStr,
    /// Its position in the file.
    pub position: usize,
    /// Its name in the file, and the type in which it is read.
    pub field: Field,
    pub form: Form,
    /// How a list is written; `None` for JSON.
    pub list: Option<ListText>,
}

/// The columns to read of a file with these names. `field` has the types of the columns; columns of one name may have
/// none.
///
/// The error is about a needed column.
pub(super) fn choose<'a>(
    selection: &Selection,
    names: &[String],
    field: impl Fn(usize) -> Option<&'a Field>,
) -> Result<Vec<ArrowColumn>, String> {
    let mut columns = Vec::new();
    for Chosen { name, needed, position } in selection.choose(names)? {
        let field = field(position);
        match (field.and_then(|field| Some((readable(field)?, field))), needed) {
            // Columns of one name cannot be told apart, and none of them is needed.
            (_, None) if name != names[position] => {}
            (Some((form, field)), needed) => {
                let list = needed.and_then(|needed| needed.list.clone());
                if needed.is_some() && list.is_none() && form.is_list {
                    return Err(format!("column `{name}` {IS_LIST}"));
                }
                let field = Field::new(field.name.clone(), form.kind.clone(), true);
                let is_strict = needed.is_some() || selection.needed.is_empty();
                columns.push(ArrowColumn {
                    name: name.into(),
                    position,
                    field,
                    form: Form { is_strict, ..form },
                    list,
                });
            }
            (None, Some(_)) => return Err(format!("column `{name}` {HAS_NO_TEXT}")),
            (None, None) => {}
        }
    }
    Ok(columns)
}

/// The form in which the values of a column are read; `None` if they have no text form.
fn readable(field: &Field) -> Option<Form> {
    use ArrowDataType::{Extension, FixedSizeList, LargeList, List};
    let one = |kind: &ArrowDataType| one_value(kind).map(|kind| (kind, false));
    let inner = |field: &Field| Some(Box::new(Field::new(field.name.clone(), one_value(&field.dtype)?, true)));
    let (kind, is_list) = match &field.dtype {
        List(item) | LargeList(item) => (LargeList(inner(item)?), true),
        FixedSizeList(item, size) => (FixedSizeList(inner(item)?, *size), true),
        kind => one(kind)?,
    };
    let is_uuid = matches!(&field.dtype, Extension(extension) if extension.name == UUID);
    Some(Form { kind, is_list, is_uuid, is_strict: true })
}

/// The type in which single values are read.
fn one_value(kind: &ArrowDataType) -> Option<ArrowDataType> {
    use ArrowDataType as A;
    Some(match kind {
        A::Dictionary(_, value, _) => one_value(value)?,
        A::Extension(extension) => one_value(&extension.inner)?,
        A::Utf8 | A::LargeUtf8 | A::Utf8View => A::Utf8View,
        A::Binary | A::LargeBinary | A::BinaryView => A::BinaryView,
        A::Null | A::Boolean | A::FixedSizeBinary(_) | A::Date32 | A::Date64 => kind.clone(),
        A::Int8 | A::Int16 | A::Int32 | A::Int64 | A::UInt8 | A::UInt16 | A::UInt32 | A::UInt64 => kind.clone(),
        A::Float16 | A::Float32 | A::Float64 => kind.clone(),
        A::Decimal(..) | A::Decimal32(..) | A::Decimal64(..) | A::Decimal256(..) => kind.clone(),
        A::Timestamp(..) | A::Time32(_) | A::Time64(_) | A::Duration(_) => kind.clone(),
        _ => return None,
    })
}
