//! A request for recommendations as a JSON object.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::parse_rows::{parse_rows, text};
use crate::http::number;
use crate::model::Columns;
use crate::problem::Problem;

/// Number of items without `k`, and maximum number.
pub(super) const ITEMS: usize = 10;
pub(super) const MAX_ITEMS: usize = 1000;

/// Whom to recommend how many items.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedRecommendation {
    /// The text of each column that describes the user and the context.
    pub user: Vec<(String, String)>,
    /// Number of items.
    pub k: usize,
    /// Ids of items to leave out.
    pub exclude: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'b> {
    #[serde(borrow)]
    user: &'b RawValue,
    #[serde(borrow)]
    k: Option<&'b RawValue>,
    #[serde(borrow)]
    exclude: Option<&'b RawValue>,
}

/// Parses `{"user": {"user_id": 42, "age": 30}, "k": 10, "exclude": [313]}`. `user` has the columns of the user and the
/// context, whatever their names.
///
/// # Errors
/// 400 for anything else, and for names that are no columns.
pub fn parse_recommendation(body: &[u8], columns: &Columns) -> Result<ParsedRecommendation, Problem> {
    let failed = |what: String| Problem::bad_request(format!("the body: {what}"));
    // An array could also be a structure to serde.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(failed("it must be an object, such as {\"user\": {\"user_id\": 42}}".into()));
    }
    let Body { user, k, exclude } = serde_json::from_slice(body).map_err(|error| failed(error.to_string()))?;
    if !user.get().starts_with('{') {
        let what = "`user` must be an object with the columns of the user, such as {\"user_id\": 42}";
        return Err(failed(what.into()));
    }
    let row = parse_rows(user.get().as_bytes(), columns, true, 1)
        .map_err(|problem| failed(format!("`user`: {}", problem.message().trim_start_matches("the body: "))))?;
    if let Some(name) = row.ignored.first() {
        let names = columns.names().join(", ");
        return Err(failed(format!("`user` has the unknown column `{name}`; the columns are {names}")));
    }
    let cells = columns.names().iter().enumerate();
    let user = cells.filter_map(|(at, name)| Some((name.clone(), row.rows.get(0, at)?.to_owned()))).collect();
    let k = k.map_or(Ok(ITEMS), |k| number("k", k.get(), MAX_ITEMS))?;
    let exclude: Vec<&RawValue> = match exclude.map(|exclude| serde_json::from_str(exclude.get())) {
        None => vec![],
        Some(Ok(ids)) => ids,
        Some(Err(_)) => return Err(failed("`exclude` must be an array of ids".into())),
    };
    let id = |value: &RawValue| text(value.get(), None).map(String::from);
    let exclude = exclude.into_iter().map(id).filter(|id| id.as_ref().map_or(true, |id| !id.is_empty()));
    let exclude = exclude.collect::<Result<_, _>>().map_err(|what| failed(format!("an id in `exclude` {what}")))?;
    Ok(ParsedRecommendation { user, k, exclude })
}

#[cfg(test)]
mod tests {
    use fm_core::{Field, FieldKind, Label, Schema, Side, Task};

    use super::*;

    fn parsed(json: &str) -> Result<ParsedRecommendation, Problem> {
        let field = |name| Field::new(name, FieldKind::Categorical, Side::User, vec![]);
        let schema = Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), ["id", "k", "user"].map(field).into());
        parse_recommendation(json.as_bytes(), &Columns::new(&schema.unwrap()))
    }

    #[test]
    fn columns_may_have_the_names_of_parameters() {
        let found = parsed(r#"{"k": 3, "user": {"user": "x", "id": 4.0, "k": null}, "exclude": [7, "a,b", null]}"#);
        let user = [("id", "4.0"), ("user", "x")].map(|(name, text)| (name.to_owned(), text.to_owned()));
        let exclude = vec!["7".to_owned(), "a,b".to_owned()];
        assert_eq!(found.unwrap(), ParsedRecommendation { user: user.into(), k: 3, exclude });
        let user = vec![("id".to_owned(), "1".to_owned())];
        assert_eq!(parsed(r#"{"user": {"id": 1}}"#).unwrap(), ParsedRecommendation { user, k: ITEMS, exclude: vec![] });
    }

    #[test]
    fn what_is_no_request_is_an_error_of_one_line() {
        for (json, words) in [
            ("", "must be an object"),
            ("[]", "must be an object"),
            (r#"[{"id": 1}, 3, []]"#, "must be an object"),
            ("{", "EOF"),
            ("{}", "missing field `user`"),
            (r#"{"user": 42}"#, "must be an object"),
            (r#"{"user": {"id": {}}}"#, "`user`: `id` in row 0 is an object"),
            (r#"{"user": {"Id": 1}}"#, "unknown column `Id`; the columns are id, k, user"),
            (r#"{"user": {}, "k": 0}"#, "from 1 to 1000"),
            (r#"{"user": {}, "k": "5"}"#, "whole number"),
            (r#"{"user": {}, "exclude": "7"}"#, "`exclude` must be an array"),
            (r#"{"user": {}, "exclude": [{}]}"#, "an id in `exclude` is an object"),
            (r#"{"user": {}, "exclude": [[1, 2]]}"#, "an id in `exclude` has 2 values"),
            (r#"{"user": {}, "model": "a"}"#, "unknown field `model`"),
            (r#"{"user": {}} x"#, "trailing"),
        ] {
            let problem = parsed(json).unwrap_err();
            assert!(problem.status() == 400 && problem.message().contains(words), "{json}: {}", problem.message());
        }
    }
}
