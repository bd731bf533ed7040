//! Requests to the server. The first byte says which parser reads the rest.

use std::sync::LazyLock;

use fm_core::{Field, FieldKind, Label, List, Schema, Side, Task, Weighting};
use fm_serve::plain::{ParsedRows, parse_recommendation, parse_rows};
use fm_serve::raw_rows::RawRows;
use fm_serve::v2::{InferRequest, Input, parse};
use fm_serve::{Columns, Problem, Query};

/// Maximum number of rows of a request.
const MAX_ROWS: usize = 4;

/// A column of each kind. The field `codes` is exact.
static COLUMNS: LazyLock<Columns> = LazyLock::new(|| {
    let list = || FieldKind::MultiValued(List::new("|", 2, Weighting::Sum));
    let fields = vec![
        Field::categorical("user", Side::User, 3),
        Field::new("tags", list(), Side::Item, vec!["a".into()]),
        Field { exact: true, ..Field::new("codes", list(), Side::Item, vec!["b".into()]) },
        Field::new("age", FieldKind::Numeric { mean: 0.0, std: 1.0 }, Side::User, vec![]),
    ];
    Columns::new(&Schema::new(Label::fit("y", Task::Regression, [0.0, 1.0]), fields).unwrap())
});

/// Number of slots of a row.
const SLOTS: usize = 6;

/// A request for inference in JSON (0), with a head of as many bytes as the next two bytes say (1), and of encoded
/// rows (2); rows (3), a row (4), parameters of a path (5), and a request for recommendations (6).
pub fn request(bytes: &[u8]) -> bool {
    let Some((kind, body)) = bytes.split_first() else { return false };
    match kind {
        0 => infer(body, None, false),
        1 => body.split_first_chunk().is_some_and(|(head, body)| {
            let head = usize::from(u16::from_le_bytes(*head));
            infer(body, Some(head), false)
        }),
        2 => infer(body, None, true),
        3 => accepted(parse_rows(body, &COLUMNS, false, MAX_ROWS), |ParsedRows { rows, .. }| check(&rows, body)),
        4 => accepted(parse_rows(body, &COLUMNS, true, MAX_ROWS), |ParsedRows { rows, .. }| {
            assert_eq!(rows.len(), 1);
            check(&rows, body);
        }),
        5 => str::from_utf8(body).is_ok_and(|text| {
            accepted(Query::parse(text), |query| {
                let written = |(name, value): &(String, String)| format!("{}={}", escaped(name), escaped(value));
                let pairs = query.rest();
                let text = pairs.iter().map(written).collect::<Vec<_>>().join("&");
                assert_eq!(Query::parse(&text).unwrap().rest(), pairs);
            })
        }),
        6 => accepted(parse_recommendation(body, &COLUMNS), |asked| {
            assert!((1..=1000).contains(&asked.k) && asked.user.len() <= COLUMNS.names().len());
            let texts = asked.user.iter().map(|(_, text)| text).chain(&asked.exclude);
            assert!(texts.clone().all(|text| !text.is_empty()));
            assert!(texts.map(String::len).sum::<usize>() <= 4 * body.len());
        }),
        _ => false,
    }
}

fn infer(body: &[u8], head: Option<usize>, is_encoded: bool) -> bool {
    accepted(parse(body, head, &COLUMNS, is_encoded, MAX_ROWS), |InferRequest { input, .. }| match input {
        Input::Raw(rows) => check(&rows, body),
        Input::Encoded { rows, ids, values } => {
            assert!(is_encoded && rows <= MAX_ROWS && ids.len() == rows * SLOTS && values.len() == ids.len());
            assert!(values.iter().all(|value| value.is_finite()));
        }
    })
}

/// Whether a parser accepted its input, which is then checked. A problem is one line of bounded length.
fn accepted<T>(result: Result<T, Problem>, check: impl FnOnce(T)) -> bool {
    match result {
        Ok(parsed) => {
            check(parsed);
            true
        }
        Err(problem) => {
            assert!(problem.message().chars().count() <= 501 && !problem.message().contains(char::is_control));
            assert!((400..500).contains(&problem.status()));
            false
        }
    }
}

fn check(rows: &RawRows, body: &[u8]) {
    assert!(rows.len() <= MAX_ROWS);
    let columns = COLUMNS.names().len();
    let texts = (0..rows.len()).flat_map(|row| (0..columns).filter_map(move |column| rows.get(row, column)));
    // A number of 8 bytes has up to 327 digits.
    assert!(texts.map(str::len).sum::<usize>() <= 400 * body.len());
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Requests of each kind.
pub fn requests() -> Vec<Vec<u8>> {
    let inputs = |data: &str| {
        let input = |name: &str| format!(r#"{{"name":"{name}","shape":[1],"datatype":"BYTES",{data}}}"#);
        ["user", "tags", "codes", "age"].map(input).join(",")
    };
    let json = format!(r#"{{"id":"1","inputs":[{}],"outputs":[{{"name":"OUTPUT__0"}}]}}"#, inputs(r#""data":["a"]"#));
    let shared = r#""shape":[1,1],"parameters":{"binary_data_size":5},"datatype""#;
    let binary =
        ["user", "tags", "codes", "age"].map(|name| format!(r#"{{"name":"{name}",{shared}:"BYTES"}}"#)).join(",");
    let head = format!(r#"{{"inputs":[{binary}]}}"#);
    let mut in_bytes = vec![1];
    in_bytes.extend(u16::try_from(head.len()).unwrap().to_le_bytes());
    in_bytes.extend(head.bytes());
    in_bytes.extend(b"\x01\0\0\0a".repeat(4));
    let ids = r#"{"name":"ids","shape":[1,6],"datatype":"INT64","data":[[1,5,4,6,6,9]]}"#;
    let values = r#"{"name":"values","shape":[1,6],"datatype":"FP32","data":[1,1,0.5,1,0,-2.5]}"#;
    let tagged = |kind: u8, text: String| [&[kind][..], text.as_bytes()].concat();
    vec![
        tagged(0, json),
        in_bytes,
        tagged(2, format!(r#"{{"inputs":[{ids},{values}]}}"#)),
        tagged(3, r#"[{"user":1,"tags":["a",2,null],"codes":"b","age":-1.5e3},{"User":{"a":[]}}]"#.into()),
        tagged(3, r#"{"rows":[{"user":"\u00e9\n"}]}"#.into()),
        tagged(4, r#"{"user":true,"tags":["a|b"]}"#.into()),
        tagged(5, "user=4%322&k=10&exclude=1,2&city=New+York".into()),
        tagged(6, r#"{"user":{"user":4.0,"tags":["a",2]},"k":3,"exclude":["x",7]}"#.into()),
    ]
}
