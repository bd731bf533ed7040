//! The form of a `schema.toml`.

use fm_core::schema::{Derived, TimePart, TransformName};
use fm_core::{Keep, Side, Weighting};
use serde::Deserialize;

use super::{FieldSpec, FieldSpecKind, ListSpec, SEPARATOR, TableSpec, history, transform};
use crate::table::DecimalMark;

impl TableSpec {
    pub(super) fn parse(text: &str) -> std::result::Result<TableSpec, Problem> {
        let file: SpecFile = toml::from_str(text).map_err(|error| Problem {
            at: error.span().map(|span| span.start),
            reason: with_suggestion(error.message()),
        })?;
        file.into_spec()
    }
}

/// An error in a `schema.toml`, and its position in bytes.
pub(super) struct Problem {
    pub at: Option<usize>,
    pub reason: String,
}

/// The form of a `schema.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SpecFile {
    label: String,
    weight: Option<String>,
    timestamp: Option<String>,
    user: Option<String>,
    item: Option<String>,
    title: Option<String>,
    #[serde(default)]
    null_values: Vec<String>,
    separator: Option<char>,
    #[serde(default)]
    decimal: DecimalMark,
    #[serde(default, rename = "field")]
    fields: Vec<FieldEntry>,
}

impl SpecFile {
    pub fn into_spec(self) -> std::result::Result<TableSpec, Problem> {
        let starts: Vec<usize> = self.fields.iter().map(|field| field.name.span().start).collect();
        let fields = self.fields.into_iter().map(FieldEntry::into_spec).collect::<std::result::Result<_, _>>()?;
        let SpecFile { label, weight, timestamp, user, item, title, null_values, separator, decimal, .. } = self;
        let mut spec =
            TableSpec { label, weight, timestamp, user, item, title, null_values, separator, decimal, fields };
        spec.complete_derived();
        match spec.problem().or_else(|| spec.history_problem()) {
            None => Ok(spec),
            Some((position, reason)) => Err(Problem { at: position.map(|position| starts[position]), reason }),
        }
    }
}

/// A `[[field]]`. It has no nested types, so that the error for an unknown key has its line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldEntry {
    name: toml::Spanned<String>,
    column: Option<String>,
    time: Option<TimePart>,
    until: Option<String>,
    #[serde(default)]
    cross: Vec<String>,
    kind: Option<Kind>,
    side: Option<Side>,
    #[serde(default = "one")]
    min_count: u32,
    shares: Option<String>,
    hash_buckets: Option<u32>,
    #[serde(default)]
    exact: bool,
    separator: Option<String>,
    max_len: Option<usize>,
    keep: Option<Keep>,
    weighting: Option<Weighting>,
    #[serde(default)]
    history: bool,
    at_least: Option<f32>,
    transform: Option<TransformName>,
    buckets: Option<u32>,
    period: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Categorical,
    MultiValued,
    Sequence,
    Numeric,
}

fn one() -> u32 {
    1
}

impl FieldEntry {
    fn into_spec(self) -> std::result::Result<FieldSpec, Problem> {
        let FieldEntry {
            name,
            column,
            time,
            until,
            cross,
            kind,
            side,
            min_count,
            shares,
            hash_buckets,
            exact,
            separator,
            max_len,
            keep,
            weighting,
            history,
            at_least,
            transform,
            buckets,
            period,
        } = self;
        let at = Some(name.span().start);
        let name = name.into_inner();
        let derived = Derived { time, until, cross };
        // A cross can be nothing else.
        let Some(kind) = kind.or(derived.is_cross().then_some(Kind::Categorical)) else {
            return Err(Problem {
                at,
                reason: format!("field `{name}` has no kind: declare one, as in kind = \"categorical\""),
            });
        };
        let origin = history::origin(history, at_least, keep)
            .map_err(|reason| Problem { at, reason: format!("field `{name}` {reason}") })?;
        let side = side.unwrap_or(if history { Side::User } else { Side::Context });
        // The newest item comes first.
        let last = if history { Keep::First } else { Keep::Last };
        let stray = [
            ("separator", separator.is_some()),
            ("max_len", max_len.is_some()),
            ("keep", keep.is_some()),
            ("weighting", weighting.is_some()),
        ];
        let list = || ListSpec {
            separator: separator.unwrap_or_else(|| SEPARATOR.into()),
            max_len,
            keep: keep.unwrap_or(last),
            weighting: weighting.unwrap_or_default(),
        };
        let is_numeric = matches!(kind, Kind::Numeric);
        let keys =
            [("a transform", transform.is_some()), ("buckets", buckets.is_some()), ("a period", period.is_some())];
        for (key, is_stray) in keys {
            if is_stray && !is_numeric {
                return Err(Problem {
                    at,
                    reason: format!("field `{name}` has {key}, which only numeric fields have"),
                });
            }
        }
        let kind = match kind {
            Kind::MultiValued => FieldSpecKind::MultiValued(list()),
            Kind::Sequence => FieldSpecKind::Sequence(list()),
            Kind::Categorical | Kind::Numeric => {
                if let Some((key, _)) = stray.iter().find(|(_, given)| *given) {
                    let reason =
                        format!("field `{name}` has a {key}, which only multi-valued fields and sequences have");
                    return Err(Problem { at, reason });
                }
                let is_wave = matches!(transform, Some(TransformName::Sin | TransformName::Cos));
                let period = period.or(derived.time.and_then(TimePart::period).filter(|_| is_wave));
                let transform = transform::transform(transform, buckets, period)
                    .map_err(|reason| Problem { at, reason: format!("field `{name}` {reason}") })?;
                match transform {
                    Some(transform) => FieldSpecKind::Transformed(transform),
                    None if is_numeric => FieldSpecKind::Numeric,
                    None => FieldSpecKind::Categorical,
                }
            }
        };
        let field = FieldSpec::new(name, kind, side);
        Ok(FieldSpec { column, derived, min_count, shares, hash_buckets, exact, origin, ..field })
    }
}

/// Adds the closest known name to serde's "unknown field `x`, expected one of `a`, `b`".
fn with_suggestion(message: &str) -> String {
    let message = message.lines().collect::<Vec<_>>().join(": ");
    let mut quoted = message.split('`').skip(1).step_by(2);
    let given = quoted.next().filter(|_| message.starts_with("unknown"));
    match given.and_then(|given| fm_core::error::nearest(given, quoted)) {
        Some(near) => format!("{message}; did you mean `{near}`?"),
        None => message,
    }
}
