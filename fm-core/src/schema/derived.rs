//! Texts that fields make of columns: a part of a time, or the values of several fields.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Field, FieldKind, Reading, Schema, Side};
use crate::calendar::{civil, instant, weekday};

/// The seconds of a day.
const DAY: i64 = 86_400;

/// What a field makes of the time in its column. Times are in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimePart {
    /// The year, such as 2023.
    Year,
    /// The month, from 1 to 12.
    Month,
    /// The day of the month, from 1 to 31.
    Day,
    /// The weekday: 0 is Monday, and 6 Sunday.
    Weekday,
    /// The hour, from 0 to 23.
    Hour,
    /// The days until another time, with a fraction.
    Age,
}

impl TimePart {
    /// All parts.
    pub const ALL: [TimePart; 6] =
        [TimePart::Year, TimePart::Month, TimePart::Day, TimePart::Weekday, TimePart::Hour, TimePart::Age];

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            TimePart::Year => "year",
            TimePart::Month => "month",
            TimePart::Day => "day",
            TimePart::Weekday => "weekday",
            TimePart::Hour => "hour",
            TimePart::Age => "age",
        }
    }

    /// After how many steps it repeats; `None` if it does not.
    pub fn period(self) -> Option<f64> {
        match self {
            TimePart::Year | TimePart::Age => None,
            TimePart::Month => Some(12.0),
            TimePart::Day => Some(31.0),
            TimePart::Weekday => Some(7.0),
            TimePart::Hour => Some(24.0),
        }
    }
}

/// How the text of a field follows from columns, if it is not that of a column.
///
/// ```
/// use fm_core::schema::{Derived, Reading, TimePart};
///
/// let reading = Reading::default();
/// let hour = Derived { time: Some(TimePart::Hour), ..Derived::default() };
/// assert_eq!(hour.of_time(reading, Some("2023-11-14T22:41:28"), None).as_deref(), Some("22"));
/// let age = Derived { time: Some(TimePart::Age), until: Some("2024-01-01".into()), ..Derived::default() };
/// assert_eq!(age.of_time(reading, Some("2023-12-24 18:00"), None).as_deref(), Some("7.25"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Derived {
    /// The text is this part of the time in the field's column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<TimePart>,
    /// When an age is measured: a date or a time, or else the column that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The text has the values of these fields, which have one value each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cross: Vec<String>,
}

impl Derived {
    /// Whether the text is not that of a column.
    pub fn is_derived(&self) -> bool {
        self.time.is_some() || self.is_cross()
    }

    /// Whether the text is made of other fields, not of columns.
    pub fn is_cross(&self) -> bool {
        !self.cross.is_empty()
    }

    /// The column with the time of an age.
    pub fn until_column(&self) -> Option<&str> {
        self.until.as_deref().filter(|until| !is_date(until))
    }

    /// The date or the time at which an age is measured, unless a column has it.
    pub fn until_date(&self) -> Option<&str> {
        self.until.as_deref().filter(|until| is_date(until))
    }

    /// The text of a field of a time, given the text in its column, and that in the column of [`Derived::until_column`]; `None`
    /// if either has no time. Null values of the reading are missing.
    pub fn of_time(&self, reading: Reading<'_>, text: Option<&str>, until: Option<&str>) -> Option<String> {
        let read = |text: &str| if reading.is_null(text) { None } else { instant(text) };
        let (seconds, has_date) = read(text?)?;
        let (day, part) = (seconds.div_euclid(DAY), self.time?);
        Some(match part {
            TimePart::Hour => (seconds.rem_euclid(DAY) / 3_600).to_string(),
            _ if !has_date => return None,
            TimePart::Year => civil(day).0.to_string(),
            TimePart::Month => civil(day).1.to_string(),
            TimePart::Day => civil(day).2.to_string(),
            TimePart::Weekday => weekday(day).to_string(),
            TimePart::Age => {
                let (end, has_date) = self.until_date().map_or_else(|| read(until?), instant)?;
                days(end - seconds).filter(|_| has_date)?
            }
        })
    }
}

/// Whether a text is a date or a time with a date, and so not the name of a column.
fn is_date(text: &str) -> bool {
    instant(text).is_some_and(|(_, has_date)| has_date)
}

/// Seconds as days, with up to five digits after the point. Whole numbers give the same text in every language.
fn days(seconds: i64) -> Option<String> {
    let (sign, seconds) = (if seconds < 0 { "-" } else { "" }, seconds.checked_abs()?);
    let (days, fraction) = (seconds / DAY, seconds % DAY * 100_000 / DAY);
    Some(match fraction {
        0 => format!("{sign}{days}"),
        _ => format!("{sign}{days}.{fraction:05}").trim_end_matches('0').to_owned(),
    })
}

/// The text of the values of several fields: with a `&` between them, and a `\` before each `&` and `\` in them. `None` if a value
/// is missing.
///
/// ```
/// use fm_core::schema::crossed;
///
/// assert_eq!(crossed([Some("F"), Some("R&B")]).as_deref(), Some(r"F&R\&B"));
/// assert_eq!(crossed([Some("F"), None]), None);
/// ```
pub fn crossed<'t>(values: impl IntoIterator<Item = Option<&'t str>>) -> Option<String> {
    let mut text = String::new();
    for (at, value) in values.into_iter().enumerate() {
        if at > 0 {
            text.push('&');
        }
        for character in value?.chars() {
            if matches!(character, '&' | '\\') {
                text.push('\\');
            }
            text.push(character);
        }
    }
    Some(text)
}

impl Field {
    /// The columns that it reads; none if it crosses other fields.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let own = (!self.derived.is_cross()).then(|| self.column());
        own.into_iter().chain(self.derived.until_column())
    }

    /// What contradicts itself in its time or its cross, if anything does.
    pub(super) fn derived_problem(&self, fields: &[Field]) -> Option<String> {
        let Derived { time, until, cross } = &self.derived;
        let is_age = *time == Some(TimePart::Age);
        if time.is_some() && (self.kind.list().is_some() || self.derived.is_cross()) {
            return Some("has a time, but is a list or a cross".into());
        }
        if is_age != until.is_some() || (is_age && !self.kind.is_numeric()) {
            return Some("needs a number and `until` for an age, and for nothing else".into());
        }
        let is_part = |name: &String| {
            let part = fields.iter().find(|field| field.name == *name);
            part.is_some_and(|part| part.kind == FieldKind::Categorical && !part.derived.is_cross())
        };
        if self.derived.is_cross() && (self.kind != FieldKind::Categorical || cross.len() < 2) {
            return Some("crosses fields, but is not categorical or names fewer than two".into());
        }
        let other = cross.iter().find(|name| !is_part(name))?;
        Some(format!("crosses `{other}`, which is not another categorical field"))
    }
}

impl Schema {
    /// The text of each field in a row, given the texts of its columns. [`Encoder`](crate::Encoder) takes them.
    ///
    /// ```
    /// use fm_core::schema::{Derived, TimePart};
    /// use fm_core::{Field, FieldKind, Label, Schema, Side, Task};
    ///
    /// let device = Field::new("device", FieldKind::Categorical, Side::Context, vec!["tv".into()]);
    /// let derived = Derived { time: Some(TimePart::Hour), ..Derived::default() };
    /// let hour = Field { column: Some("ts".into()), derived, ..Field::categorical("hour", Side::Context, 24) };
    /// let cross = Derived { cross: vec!["device".into(), "hour".into()], ..Derived::default() };
    /// let both = Field { derived: cross, ..Field::new("both", FieldKind::Categorical, Side::Context, vec![]) };
    /// let label = Label::fit("y", Task::Regression, [0.0, 1.0]);
    /// let schema = Schema::new(label, vec![device, hour, both])?;
    /// let row = [("device", " tv"), ("ts", "2023-11-14T22:41:28")];
    /// let texts = schema.texts(|column| row.iter().find(|(name, _)| *name == column).map(|(_, text)| *text));
    /// assert_eq!(texts.iter().flatten().collect::<Vec<_>>(), [" tv", "22", "tv&22"]);
    /// # Ok::<(), fm_core::Error>(())
    /// ```
    pub fn texts<'t>(&self, of_column: impl Fn(&str) -> Option<&'t str>) -> Vec<Option<Cow<'t, str>>> {
        let columns = Reading::new(false, self.null_values());
        let of_field = |field: &Field| match field.derived.time {
            None if field.derived.is_cross() => None,
            None => of_column(field.column()).map(Cow::Borrowed),
            Some(_) => {
                let until = field.derived.until_column().and_then(&of_column);
                field.derived.of_time(columns, of_column(field.column()), until).map(Cow::Owned)
            }
        };
        let mut texts: Vec<Option<Cow<'t, str>>> = self.fields().iter().map(of_field).collect();
        for (position, field) in self.fields().iter().enumerate().filter(|(_, field)| field.derived.is_cross()) {
            let value = |part: usize| texts[part].as_deref().and_then(|text| self.reading(part).value(text));
            texts[position] = crossed(self.parts(field).map(value)).map(Cow::Owned);
        }
        texts
    }

    /// The positions of the fields that a field crosses.
    pub fn parts<'f>(&'f self, field: &'f Field) -> impl Iterator<Item = usize> + 'f {
        field.derived.cross.iter().filter_map(|name| self.field_index(name))
    }

    /// The fields that depend on the item and on something else, so that neither the user nor the item decides their value.
    pub fn mixed_fields(&self) -> impl Iterator<Item = &Field> {
        let is_of_item = |field: &Field| field.side == Side::Item || self.item() == Some(&field.name);
        self.fields().iter().filter(move |field| {
            let of_item = self.parts(field).filter(|&part| is_of_item(&self.fields()[part])).count();
            let is_mixed_cross = of_item > 0 && of_item < field.derived.cross.len();
            is_mixed_cross || (field.derived.until_column().is_some() && is_of_item(field))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Label, Task};

    fn of(part: TimePart, text: &str) -> Option<String> {
        Derived { time: Some(part), ..Derived::default() }.of_time(Reading::default(), Some(text), None)
    }

    #[test]
    fn parts_of_a_time_are_those_of_utc() {
        let parts = [TimePart::Year, TimePart::Month, TimePart::Day, TimePart::Weekday, TimePart::Hour];
        for (text, expected) in [
            // A Sunday, a Wednesday, a Monday and a Thursday.
            ("978300760", ["2000", "12", "31", "6", "22"]),
            ("-1", ["1969", "12", "31", "2", "23"]),
            ("1970-01-05", ["1970", "1", "5", "0", "0"]),
            ("2024-02-29T23:30-01:00", ["2024", "3", "1", "4", "0"]),
            ("1700001688123", ["2023", "11", "14", "1", "22"]),
            ("0000-01-01T00:00+01:00", ["-1", "12", "31", "4", "23"]),
        ] {
            assert_eq!(parts.map(|part| of(part, text).unwrap()), expected, "{text}");
        }
        assert_eq!(parts.map(|part| of(part, "22:41")), [None, None, None, None, Some("22".into())]);
        assert_eq!(parts.map(|part| of(part, "yesterday")), [const { None }; 5]);
    }

    #[test]
    fn an_age_is_days_until_a_column_or_a_date() {
        let age = |until: &str| Derived { time: Some(TimePart::Age), until: Some(until.into()), cross: vec![] };
        let reading = Reading::default();
        let of = |derived: &Derived, text, until| derived.of_time(reading, text, until);
        let until = age("ts");
        assert_eq!((until.until_column(), until.until_date()), (Some("ts"), None));
        let ts = Some("2024-01-11T12:00");
        for (text, days) in [
            ("2024-01-01", Some("10.5")),
            ("2024-01-11T12:00", Some("0")),
            ("2024-01-12T12:00:01", Some("-1.00001")),
            ("10:00", None),
        ] {
            assert_eq!(of(&until, Some(text), ts).as_deref(), days, "{text}");
        }
        assert_eq!((of(&until, Some("2024-01-01"), Some("now")), of(&until, None, ts)), (None, None));
        let fixed = age("2024-01-11");
        assert_eq!((fixed.until_column(), fixed.until_date()), (None, Some("2024-01-11")));
        assert_eq!(of(&fixed, Some("2024-01-01"), None).as_deref(), Some("10"));
    }

    #[test]
    fn a_crossed_text_has_one_set_of_values() {
        let texts = [["a", "b"], ["a&b", ""], ["a\\", "b"], ["a\\&b", "c"], ["a", "&b"], ["a&", "b"]];
        let crossed: Vec<String> = texts.iter().map(|values| crossed(values.map(Some)).unwrap()).collect();
        assert_eq!(crossed[0], "a&b");
        let mut distinct = crossed.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), crossed.len());
    }

    fn field(name: &str, derived: Derived) -> Field {
        Field { derived, ..Field::new(name, FieldKind::Categorical, Side::Context, vec![]) }
    }

    fn cross(name: &str, parts: &[&str]) -> Field {
        let cross = parts.iter().map(|&part| part.to_owned()).collect();
        field(name, Derived { cross, ..Derived::default() })
    }

    fn schema(fields: Vec<Field>) -> crate::Result<Schema> {
        Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), fields)
    }

    #[test]
    fn a_schema_with_derived_fields_has_the_newest_format() {
        let hour = Derived { time: Some(TimePart::Hour), ..Derived::default() };
        let fields = vec![
            field("a", Derived::default()),
            Field { column: Some("ts".into()), ..field("hour", hour) },
            Field { vocabulary: vec![r"x&7".into(), " x&7".into()], ..cross("both", &["a", "hour"]) },
        ];
        let schema = schema(fields).unwrap();
        let text = schema.to_json();
        assert!(text.starts_with(r#"{"format":4,"#), "{text}");
        assert!(text.contains(r#""time":"hour""#) && text.contains(r#""cross":["a","hour"]"#), "{text}");
        assert_eq!(Schema::from_json(&text).unwrap(), schema);
        assert_eq!(schema.columns(), ["a", "ts"]);
        // Null values are those of columns: midnight is an hour.
        let nulls = schema.with_null_values(&["0".into(), "x".into()]).unwrap();
        assert_eq!((nulls.reading(0).value("0"), nulls.reading(1).value("0")), (None, Some("0")));
        let texts = nulls.texts(|column| Some(if column == "ts" { "0" } else { "x" }));
        assert_eq!(texts, [Some("x".into()), None, None]);
    }

    fn plain(name: &str) -> Field {
        field(name, Derived::default())
    }

    #[test]
    fn fields_may_read_one_column() {
        let of = |name: &str, column: &str| Field { column: Some(column.into()), ..plain(name) };
        let found = schema(vec![of("a", "x"), plain("y"), of("b", "x")]).unwrap();
        assert_eq!((found.columns(), found.fields()[2].column()), (vec!["x", "y"], "x"));
        let text = found.to_json();
        assert!(text.starts_with(r#"{"format":3,"#) && text.contains(r#""name":"a","column":"x","#), "{text}");
        assert_eq!(Schema::from_json(&text).unwrap(), found);
        let error = schema(vec![of("a", "")]).unwrap_err().to_string();
        assert!(error.contains("field `a` reads a column without a name"), "{error}");
    }

    #[test]
    fn contradictions_are_errors() {
        let refused = |fields| schema(fields).unwrap_err().to_string();
        let number = Field { kind: FieldKind::Numeric { mean: 0.0, std: 1.0 }, ..plain("n") };
        for part in ["n", "none", "both", "other"] {
            let fields = vec![plain("a"), number.clone(), cross("both", &["a", part]), cross("other", &["a", "a"])];
            let error = refused(fields);
            assert!(error.contains(&format!("crosses `{part}`, which is not another categorical field")), "{error}");
        }
        assert!(refused(vec![plain("a"), cross("both", &["a"])]).contains("fewer than two"));
        let age = Derived { time: Some(TimePart::Age), until: Some("ts".into()), cross: vec![] };
        assert!(refused(vec![field("age", age)]).contains("needs a number"));
    }

    #[test]
    fn fields_of_the_item_and_something_else_are_mixed() {
        let of = |name, side| Field { side, ..field(name, Derived::default()) };
        let age = Derived { time: Some(TimePart::Age), until: Some("ts".into()), cross: vec![] };
        let number = FieldKind::Numeric { mean: 0.0, std: 1.0 };
        let fields = vec![
            of("gender", Side::User),
            of("genre", Side::Item),
            of("film", Side::Context),
            cross("a", &["gender", "genre"]),
            cross("b", &["genre", "film"]),
            cross("c", &["gender", "film"]),
            Field { kind: number.clone(), side: Side::Item, ..field("age", age.clone()) },
            Field { kind: number, side: Side::User, ..field("age of the user", age) },
        ];
        let schema = schema(fields).unwrap().with_roles(None, Some("film".into())).unwrap();
        assert_eq!(schema.mixed_fields().map(|field| field.name.as_str()).collect::<Vec<_>>(), ["a", "c", "age"]);
    }
}
