//! The columns that fields read.

use super::derived::derived_texts;
use super::{FieldOrigin, FieldSpec, TableSpec};
use crate::error::Result;
use crate::table::{CompactTable, ListText};

/// The number of rows of a field whose texts are made at once.
const CHUNK: usize = 1 << 16;

impl TableSpec {
    /// A table in which each field that reads a column of another name, or follows from others, has a column of its own name, too.
    ///
    /// # Errors
    /// [`Error::MissingColumn`](crate::Error::MissingColumn).
    pub(crate) fn with_fields(&self, mut table: CompactTable) -> Result<CompactTable> {
        // A column may have the name of another field.
        let own = table.clone();
        for field in self.fields.iter().filter(|field| field.origin == FieldOrigin::Column) {
            if field.name != field.column() && !field.derived.is_derived() {
                table.with_copy(&field.name, &own, field.column())?;
            }
        }
        // Crosses come last: they need the columns of their fields.
        let derived = self.fields.iter().filter(|field| field.derived.is_derived());
        let (crosses, times): (Vec<&FieldSpec>, Vec<&FieldSpec>) = derived.partition(|field| field.derived.is_cross());
        for field in times.into_iter().chain(crosses) {
            let (of, fields) = ((&field.derived, field.column()), table.clone());
            let text = derived_texts(of, &own, &fields, &self.null_values, |part| self.reading(part))?;
            let chunks = (0..fields.height()).step_by(CHUNK).map(|start| start..fields.height().min(start + CHUNK));
            table.with_column(&field.name, chunks.map(|rows| rows.map(&text).collect()))?;
        }
        Ok(table)
    }

    /// How lists in a column are written; `None` if no field reads lists in it.
    pub(super) fn list_text(&self, column: &str) -> Option<ListText> {
        let list = |field: &FieldSpec| {
            let separator = field.kind.list()?.separator.clone();
            Some(ListText { separator, is_exact: self.reading(&field.name).is_exact() })
        };
        self.fields.iter().filter(|field| field.column() == column).find_map(list)
    }

    /// What is wrong with the column of a field, if anything is.
    pub(super) fn column_problem(&self, field: &FieldSpec) -> Option<String> {
        let column = field.column.as_deref()?;
        if column.is_empty() {
            return Some("has an empty column: leave it out, or name a column of the table".into());
        }
        if column == self.label {
            return Some(format!("reads `{column}`, which is the label: the model would read the answer"));
        }
        let roles = [("weight", &self.weight), ("timestamp", &self.timestamp), ("title", &self.title)];
        if let Some((role, _)) = roles.into_iter().find(|(_, role)| role.as_ref() == Some(&field.name)) {
            return Some(format!("reads `{column}`, but has the name of the column of the {role}: rename the field"));
        }
        let others = || self.fields.iter().filter(|other| other.name != field.name);
        if column != field.name
            && let Some(other) = others().find(|other| other.column() == field.name)
        {
            return Some(format!(
                "reads `{column}`, but has the name of the column of field `{}`: rename it",
                other.name
            ));
        }
        let separator = |field: &FieldSpec| field.kind.list().map(|list| list.separator.clone());
        let differs = |other: &&FieldSpec| {
            let both = separator(field).zip(separator(other));
            other.column() == column && both.is_some_and(|(own, others)| own != others)
        };
        let other = others().find(differs)?;
        Some(format!("and field `{}` read lists in `{column}` with different separators: declare the same", other.name))
    }
}
