//! Fields that follow from a time, or from other fields.

use fm_core::Side;
use fm_core::schema::{Derived, Reading, TimePart, crossed};

use super::{FieldOrigin, FieldSpec, FieldSpecKind, TableSpec};
use crate::error::{Result, suggestion};
use crate::table::{TextColumn, TextColumns};

impl FieldSpec {
    /// The columns that it reads; none if it crosses other fields.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let own = (!self.derived.is_cross()).then(|| self.column());
        own.into_iter().chain(self.derived.until_column())
    }
}

impl TableSpec {
    /// Completes what fields leave open: an age is that at the time of the row, and a cross describes what its fields describe.
    pub(super) fn complete_derived(&mut self) {
        for field in &mut self.fields {
            if field.derived.time == Some(TimePart::Age) && field.derived.until.is_none() {
                field.derived.until.clone_from(&self.timestamp);
            }
        }
        let sides: Vec<Option<Side>> = self.fields.iter().map(|field| self.side_of_cross(field)).collect();
        for (field, side) in self.fields.iter_mut().zip(sides) {
            field.side = side.unwrap_or(field.side);
        }
    }

    /// What a cross describes: what all its fields describe, or else the situation.
    fn side_of_cross(&self, field: &FieldSpec) -> Option<Side> {
        let side = |name: &String| match self.fields.iter().find(|other| other.name == *name) {
            _ if self.item.as_ref() == Some(name) => Side::Item,
            _ if self.user.as_ref() == Some(name) => Side::User,
            other => other.map_or(Side::Context, |other| other.side),
        };
        let mut sides = field.derived.cross.iter().map(side);
        let first = sides.next()?;
        Some(if sides.all(|side| side == first) { first } else { Side::Context })
    }

    /// What is wrong with the time or the cross of a field, if anything is.
    pub(super) fn derived_problem(&self, field: &FieldSpec) -> Option<String> {
        let FieldSpec { name, column, derived, kind, .. } = field;
        if derived.is_cross() {
            return self.cross_problem(field);
        }
        let Some(time) = derived.time else {
            return derived.until.is_some().then(|| "has until, which only time = \"age\" uses".into());
        };
        let part = time.name();
        let until = derived.until.as_deref();
        Some(match time {
            _ if kind.list().is_some() => format!("is a list, which has no {part}: declare it categorical or numeric"),
            _ if column.as_ref().is_none_or(|column| column == name) => format!(
                "is the {part} of a time: give it a name of its own, and name the column of the times, as in column = \"ts\""
            ),
            TimePart::Age if !kind.is_numeric() => "is an age, which is a number: declare it numeric".into(),
            TimePart::Age if until.is_none_or(str::is_empty) => {
                "is an age: declare until when, as in until = \"2024-01-31\", or the name of a column with times".into()
            }
            TimePart::Age if until == Some(&self.label) => {
                format!("reads `{}`, which is the label: the model would read the answer", self.label)
            }
            TimePart::Age => return None,
            _ if until.is_some() => "has until, which only time = \"age\" uses".into(),
            _ => return None,
        })
    }

    fn cross_problem(&self, field: &FieldSpec) -> Option<String> {
        let FieldSpec { name, column, derived: Derived { time, until, cross }, kind, side, .. } = field;
        if time.is_some() || until.is_some() {
            return Some("has a time and a cross: cross another field with the time".into());
        }
        if *kind != FieldSpecKind::Categorical {
            return Some("crosses others, and is categorical: leave the kind out".into());
        }
        if column.is_some() {
            return Some("crosses others, and reads no column: leave column out".into());
        }
        let roles = [("weight", &self.weight), ("timestamp", &self.timestamp), ("title", &self.title)];
        if let Some((role, _)) = roles.into_iter().find(|(_, role)| role.as_ref() == Some(name)) {
            return Some(format!("has the name of the column of the {role}: rename it"));
        }
        if let Some(other) = self.fields.iter().find(|other| other.columns().any(|column| column == name)) {
            return Some(format!("has the name of the column of field `{}`: rename it", other.name));
        }
        if let [only] = &cross[..] {
            return Some(format!("crosses `{only}` alone: name two or more fields"));
        }
        for (at, part) in cross.iter().enumerate() {
            let reason = match self.fields.iter().find(|other| other.name == *part) {
                None => format!("which is not a field; {}", suggestion(part, &self.names())),
                _ if part == name => "itself: name other fields".into(),
                _ if cross[..at].contains(part) => "twice: name different fields".into(),
                Some(other) if other.derived.is_cross() => {
                    "which crosses fields itself: name its fields instead".into()
                }
                Some(other) if other.kind.list().is_some() || other.origin != FieldOrigin::Column => {
                    "which has several values in a row: only fields with one value can be crossed".into()
                }
                Some(other) if other.kind.is_numeric() => format!(
                    "which is numeric: declare a categorical field with column = \"{}\" and cross that one",
                    other.column()
                ),
                Some(_) => continue,
            };
            return Some(format!("crosses `{part}`, {reason}"));
        }
        let expected = self.side_of_cross(field)?;
        (*side != expected).then(|| {
            let expected = format!("{expected:?}").to_lowercase();
            format!("crosses fields whose side is {expected}, so its own side is {expected}: leave it out")
        })
    }
}

/// The text in each row of a field that follows from columns: from those of `columns`, or, of crossed fields, from those of `fields`.
/// Columns are read as `null_values` say, and fields as `reading` says.
///
/// # Errors
/// [`Error::MissingColumn`](crate::Error::MissingColumn).
pub(crate) fn derived_texts<'a, 'r: 'a>(
    (derived, column): (&'a Derived, &str),
    columns: &'a impl TextColumns,
    fields: &'a impl TextColumns,
    null_values: &'a [String],
    reading: impl Fn(&str) -> Reading<'r>,
) -> Result<Box<dyn Fn(usize) -> Option<String> + 'a>> {
    if derived.is_cross() {
        let parts = derived.cross.iter().map(|part| Ok((fields.column(part)?, reading(part))));
        let parts = parts.collect::<Result<Vec<(TextColumn<'_>, Reading<'_>)>>>()?;
        return Ok(Box::new(move |row| {
            crossed(parts.iter().map(|(texts, reading)| texts.get(row).and_then(|text| reading.value(text))))
        }));
    }
    let reading = Reading::new(false, null_values);
    let texts = columns.column(column)?;
    let until = derived.until_column().map(|until| columns.column(until)).transpose()?;
    Ok(Box::new(move |row| derived.of_time(reading, texts.get(row), until.as_ref().and_then(|until| until.get(row)))))
}
