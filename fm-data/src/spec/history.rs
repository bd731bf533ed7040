//! Histories: the items of a user's earlier rows.

use fm_core::Keep;

use super::{FieldOrigin, TableSpec};

/// The origin of a field with these keys of a `schema.toml`, or what they contradict.
pub(super) fn origin(
    history: bool,
    at_least: Option<f32>,
    keep: Option<Keep>,
) -> std::result::Result<FieldOrigin, String> {
    let least = at_least.unwrap_or(f32::NEG_INFINITY);
    match (history, at_least) {
        (false, None) => Ok(FieldOrigin::Column),
        (false, Some(_)) => Err("has at_least, which only a history uses: declare history = true".into()),
        (true, _) if keep == Some(Keep::Last) => {
            Err("is a history, which begins with the newest item and keeps the newest ones: leave keep out".into())
        }
        (true, Some(label)) if !label.is_finite() => Err(format!("has at_least = {label}: declare a label")),
        (true, _) => Ok(FieldOrigin::LikedBefore { least }),
    }
}

impl TableSpec {
    /// The first history that lacks what it is made of, and its position. Only a declaration is incomplete without: selected fields
    /// need not include the user and the item.
    pub(super) fn history_problem(&self) -> Option<(Option<usize>, String)> {
        let is_history = |(_, field): &(usize, &super::FieldSpec)| field.origin != FieldOrigin::Column;
        self.fields.iter().enumerate().filter(is_history).find_map(|(position, field)| {
            let roles = [("user", &self.user), ("item", &self.item), ("timestamp", &self.timestamp)];
            let missing = roles.into_iter().find(|(_, role)| role.is_none());
            let reads = self
                .fields
                .iter()
                .find(|other| other.columns().any(|column| column == field.name) && other.name != field.name);
            let columns = [&self.weight, &self.timestamp, &self.title];
            let reason = if field.kind.list().is_none() {
                "is a history, and has several items: declare it multi-valued or a sequence".to_owned()
            } else if field.column.is_some() || field.derived.is_derived() {
                "is a history, and reads no column: leave column, time and cross out".into()
            } else if let Some((role, _)) = missing {
                format!("is a history, and needs the {role} of the rows: declare {role} = \"...\" above the fields")
            } else if let Some(other) = reads {
                format!("has the name of the column of field `{}`: rename it", other.name)
            } else if columns.contains(&&Some(field.name.clone())) {
                "has the name of a column with another role: rename it".into()
            } else {
                return None;
            };
            Some((Some(position), format!("field `{}` {reason}", field.name)))
        })
    }
}
