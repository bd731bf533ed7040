//! An inferred declaration as a commented `schema.toml`, and as a table for people.

use std::fmt;

use fm_core::terminal::{grouped, line, shortened};
use fm_core::{Side, Weighting};

use super::{Finding, Inferred, Role};
use crate::config::TaskName;
use crate::error::shown;
use crate::spec::{FieldSpec, FieldSpecKind, ListSpec, TransformSpec};
use crate::table::DecimalMark;

/// The width of a column with names.
const WIDEST: usize = 32;

impl Inferred {
    /// The rows that were read, in words.
    pub fn sample(&self) -> String {
        let all = if self.is_whole { "all" } else { "the first" };
        format!("{all} {} rows of {}", grouped(self.rows as i64), line(&shown(&self.table).to_string_lossy()))
    }

    /// The declaration as a `schema.toml`, whose comments say what was seen.
    pub fn to_toml(&self) -> String {
        let spec = &self.spec;
        let mut text = format!("# Inferred from {}.\n", self.sample());
        if self.task == TaskName::Binary {
            text.push_str("# The labels suit `--task binary`.\n");
        }
        text.push('\n');
        let reason =
            |role: &Role| self.columns.iter().find(|finding| finding.role == *role).map(|finding| &finding.reason);
        let roles = [
            ("label", Some(&spec.label), reason(&Role::Label)),
            ("weight", spec.weight.as_ref(), None),
            ("timestamp", spec.timestamp.as_ref(), reason(&Role::Timestamp)),
            ("user", spec.user.as_ref(), None),
            ("item", spec.item.as_ref(), None),
            ("title", spec.title.as_ref(), None),
        ];
        for (key, column, reason) in roles {
            if let Some(column) = column {
                text.push_str(&with_comment(&format!("{key} = {}", quoted(column)), reason.map(String::as_str)));
            }
        }
        if !spec.null_values.is_empty() {
            let nulls: Vec<String> = spec.null_values.iter().map(|null| quoted(null)).collect();
            text.push_str(&format!("null_values = [{}]\n", nulls.join(", ")));
        }
        if spec.decimal == DecimalMark::Comma {
            text.push_str("decimal = \",\"\n");
        }
        for Finding { role, reason, .. } in &self.columns {
            if let Role::Field(field) = role {
                text.push_str(&entry(field, reason));
            }
        }
        let left_out: Vec<&Finding> = self.columns.iter().filter(|finding| finding.role == Role::LeftOut).collect();
        if !left_out.is_empty() {
            text.push_str("\n# Left out:\n");
            for Finding { column, reason, .. } in left_out {
                text.push_str(&format!("# - {}: {}\n", line(&quoted(column)), line(reason)));
            }
        }
        text
    }
}

/// A `[[field]]`.
fn entry(field: &FieldSpec, reason: &str) -> String {
    let FieldSpec { name, column, derived, kind, side, min_count, .. } = field;
    let mut text = format!("\n[[field]]\nname = {}\n", quoted(name));
    if let Some(column) = column {
        text.push_str(&format!("column = {}\n", quoted(column)));
    }
    text.push_str(&with_comment(&format!("kind = \"{}\"", kind_name(kind)), Some(reason)));
    if let Some(time) = derived.time {
        text.push_str(&format!("time = \"{}\"\n", time.name()));
    }
    match side {
        Side::User => text.push_str("side = \"user\"\n"),
        Side::Item => text.push_str("side = \"item\"\n"),
        Side::Context => {}
    }
    if *kind == FieldSpecKind::Transformed(TransformSpec::Log) {
        text.push_str(&with_comment("transform = \"log\"", Some("a few are far greater than most")));
    }
    if *min_count > 1 {
        text.push_str(&with_comment(&format!("min_count = {min_count}"), Some("most values occur once")));
    }
    if let Some(ListSpec { separator, max_len, weighting, .. }) = kind.list() {
        text.push_str(&format!("separator = {}\n", quoted(separator)));
        if let Some(max_len) = max_len {
            text.push_str(&format!("max_len = {max_len}\n"));
        }
        if *weighting == Weighting::Given {
            text.push_str("weighting = \"given\"\n");
        }
    }
    text
}

fn kind_name(kind: &FieldSpecKind) -> &'static str {
    match kind {
        FieldSpecKind::Categorical => "categorical",
        FieldSpecKind::MultiValued(_) => "multi-valued",
        FieldSpecKind::Sequence(_) => "sequence",
        FieldSpecKind::Numeric | FieldSpecKind::Transformed(_) => "numeric",
    }
}

fn with_comment(setting: &str, comment: Option<&str>) -> String {
    match comment {
        Some(comment) => format!("{setting:<32} # {}\n", line(comment)),
        None => format!("{setting}\n"),
    }
}

/// A text as a TOML string.
fn quoted(text: &str) -> String {
    // A JSON string is a TOML string of one line.
    serde_json::Value::String(text.into()).to_string()
}

/// A line for each column: its name, what it is used as, and what was seen.
impl fmt::Display for Inferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used_as = |Finding { column, role, .. }: &Finding| match role {
            Role::Label => match self.task {
                TaskName::Binary => "label, binary".to_owned(),
                TaskName::Regression | TaskName::Ranking => "label".to_owned(),
            },
            Role::Weight => "weight".into(),
            Role::Timestamp => "timestamp".into(),
            Role::Title => "title of the item".into(),
            Role::LeftOut => "left out".into(),
            Role::Field(field) => {
                let kind = kind_name(&field.kind);
                let is = |role: &Option<String>| role.as_ref() == Some(column);
                match (is(&self.spec.user), is(&self.spec.item), field.side) {
                    (true, _, _) => format!("{kind}, the user"),
                    (_, true, _) => format!("{kind}, the item"),
                    (_, _, Side::User) => format!("{kind}, of the user"),
                    (_, _, Side::Item) => format!("{kind}, of the item"),
                    (_, _, Side::Context) => kind.into(),
                }
            }
        };
        let lines: Vec<[String; 3]> = self
            .columns
            .iter()
            .map(|finding| [shortened(&finding.column, WIDEST), used_as(finding), line(&finding.reason).into_owned()])
            .collect();
        let width = |at: usize| lines.iter().map(|cells| cells[at].chars().count()).max().unwrap_or(0);
        let (first, second) = (width(0), width(1));
        for (at, [column, used_as, reason]) in lines.iter().enumerate() {
            let end = if at + 1 == lines.len() { "" } else { "\n" };
            write!(f, "{column:<first$}  {used_as:<second$}  {reason}{end}")?;
        }
        Ok(())
    }
}
