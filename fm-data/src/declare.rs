//! Completes the declaration of a table: infers what the settings do not declare, and finds the columns that a pattern
//! names.

use std::collections::HashSet;
use std::path::Path;

use crate::config::DataConfig;
use crate::error::{Error, Result};
use crate::infer::{InferOptions, Inferred, infer};
use crate::source;
use crate::spec::{FieldOrigin, FieldSpec, TableSpec};
use crate::table::{ChunkSize, TableReader};

/// A complete declaration.
#[derive(Clone, Debug)]
pub struct Declared {
    /// The declaration, without patterns.
    pub spec: TableSpec,
    /// What it was inferred from, if the settings declare nothing.
    pub inferred: Option<Inferred>,
}

/// The complete declaration of the table that the settings name. `None` for other data, such as a MovieLens release.
///
/// # Errors
/// Those of [`infer`], and of [`TableReader::open`] for the names of the columns; [`Error::Spec`] for a label that is
/// also a field, or a pattern without columns.
pub fn declare(config: &DataConfig) -> Result<Option<Declared>> {
    let table = source::table_of(config);
    if let (None, Some(label), Some(data)) = (&table, &config.label, &config.data) {
        return Err(Error::Spec(format!("{data} is not a table: its label is declared, and cannot be `{label}`")));
    }
    table.map(|table| of_table(config, &table)).transpose()
}

/// The complete declaration of a table.
pub(crate) fn of_table(config: &DataConfig, table: &Path) -> Result<Declared> {
    let Some(spec) = &config.schema else {
        let inferred = infer(
            table,
            &InferOptions { label: config.label.clone(), on_bad_row: config.on_bad_row, ..InferOptions::default() },
        )?;
        return Ok(Declared { spec: inferred.spec.clone(), inferred: Some(inferred) });
    };
    let mut spec = spec.clone();
    if let Some(label) = &config.label {
        spec.label.clone_from(label);
    }
    if spec.fields.iter().any(is_pattern) {
        let size = ChunkSize { rows: 1, ..ChunkSize::default() };
        spec = spec.with_columns(TableReader::open(table, size)?.names())?;
    }
    spec.check()?;
    Ok(Declared { spec, inferred: None })
}

fn is_pattern(field: &FieldSpec) -> bool {
    field.origin == FieldOrigin::Column && !field.derived.is_cross() && field.column().contains('*')
}

impl TableSpec {
    /// The declaration in which each field whose name has a `*`, which stands for any characters, is a field for each
    /// of the `columns` with such a name. Columns that have another role are left out.
    ///
    /// # Errors
    /// [`Error::Spec`] for a pattern without columns.
    pub fn with_columns(&self, columns: &[String]) -> Result<TableSpec> {
        let roles = [Some(&self.label), self.weight.as_ref(), self.timestamp.as_ref(), self.title.as_ref()];
        let named = self.fields.iter().filter(|field| !is_pattern(field)).map(|field| &field.name);
        let mut taken: HashSet<&str> = roles.into_iter().flatten().chain(named).map(String::as_str).collect();
        let mut fields = Vec::new();
        for field in &self.fields {
            // A column may have such a name itself.
            if !is_pattern(field) || columns.iter().any(|column| column == field.column()) {
                fields.push(field.clone());
                continue;
            }
            let before = fields.len();
            if let Some(pattern) = &field.column {
                fields.extend(self.fields_of_pattern(field, pattern, columns)?);
                if fields.len() > before {
                    continue;
                }
            }
            for column in columns.iter().filter(|column| matches(field.column(), column)) {
                if taken.insert(column) {
                    fields.push(FieldSpec { name: column.clone(), ..field.clone() });
                }
            }
            if fields.len() == before {
                return Err(Error::Spec(format!(
                    "field `{}` stands for no column: the columns without another role are {}",
                    field.name,
                    columns
                        .iter()
                        .filter(|name| !taken.contains(name.as_str()))
                        .cloned()
                        .collect::<Vec<_>>()
                        .join(", ")
                )));
            }
        }
        Ok(TableSpec { fields, ..self.clone() })
    }

    /// A field for each column that the `column` of a field stands for: what its `*` stands for takes the place of the `*` in
    /// the name. Other fields may read these columns, too.
    fn fields_of_pattern(&self, field: &FieldSpec, pattern: &str, columns: &[String]) -> Result<Vec<FieldSpec>> {
        let single = pattern.split_once('*').filter(|(_, end)| !end.contains('*'));
        let Some((start, end)) = single.filter(|_| field.name.matches('*').count() == 1) else {
            return Err(Error::Spec(format!(
                "field `{}` reads the columns `{pattern}`: write one * in its name and one in its column, as in the name \
                 I*_log of the column I*",
                field.name
            )));
        };
        let roles = [Some(&self.label), self.weight.as_ref(), self.timestamp.as_ref(), self.title.as_ref()];
        let of_column = |column: &String| {
            let star = column.strip_prefix(start)?.strip_suffix(end)?;
            let name = field.name.replace('*', star);
            (!roles.contains(&Some(column))).then(|| FieldSpec { name, column: Some(column.clone()), ..field.clone() })
        };
        Ok(columns.iter().filter_map(of_column).collect())
    }
}

/// Whether a name matches a pattern, in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(start) else { return false };
    name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| matches(rest, &name[at..]))
}

#[cfg(test)]
mod tests {
    use fm_core::Side;

    use super::*;
    use crate::spec::FieldSpecKind::{Categorical, Numeric};

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, expected) in [
            ("C*", "C1", true),
            ("C*", "C", true),
            ("C*", "I1", false),
            ("*_id", "user_id", true),
            ("*_id", "user_id_2", false),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "acb", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_declares_the_columns_that_have_no_other_role() {
        let field = |name: &str, kind| FieldSpec::new(name, kind, Side::Context);
        let fields = vec![field("C*", Categorical), field("I*", Numeric), field("C2", Numeric)];
        let spec = TableSpec { timestamp: Some("I2".into()), ..TableSpec::new("C0", fields) };
        let columns = ["I1", "C0", "C1", "C2", "C3", "I2", "x"].map(str::to_owned);
        let found = spec.with_columns(&columns).unwrap();
        let names: Vec<(&str, bool)> =
            found.fields.iter().map(|field| (field.name.as_str(), field.kind == Numeric)).collect();
        assert_eq!(names, [("C1", false), ("C3", false), ("I1", true), ("C2", true)]);
        let error = spec.with_columns(&columns[..1]).unwrap_err().to_string();
        assert_eq!(error, "field `C*` stands for no column: the columns without another role are I1");
        let bucket = |name: &str| FieldSpec { column: Some("I*".into()), ..field(name, Categorical) };
        let spec = TableSpec::new("C0", vec![field("I*", Numeric), bucket("*_bucket")]);
        let found = spec.with_columns(&columns).unwrap();
        let names: Vec<(&str, &str)> = found.fields.iter().map(|field| (field.name.as_str(), field.column())).collect();
        assert_eq!(names, [("I1", "I1"), ("I2", "I2"), ("1_bucket", "I1"), ("2_bucket", "I2")]);
        let error = TableSpec::new("C0", vec![bucket("bucket")]).with_columns(&columns).unwrap_err().to_string();
        assert!(error.starts_with("field `bucket` reads the columns `I*`: write one * in its name"), "{error}");
        let error = spec.with_columns(&columns[1..2]).unwrap_err().to_string();
        assert!(error.starts_with("field `I*` stands for no column"), "{error}");
        let literal = TableSpec::new("y", vec![field("a*", Categorical)]);
        assert_eq!(literal.with_columns(&["a*".into(), "ab".into()]).unwrap(), literal);
    }
}
