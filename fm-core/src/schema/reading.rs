//! Text to values: which texts are the same value, which are missing, and which values a list holds.

use std::borrow::Cow;

use super::list_text::bracketed;
use super::{List, Weighting};
use crate::number::number;

/// The canonical form of a value: without ASCII spaces around it, an integral decimal as its integer (`4.0` is `4`), and `true`
/// and `false` in lower case. Tables write one value in several of these forms: a column of integers becomes one of floats where
/// a cell is missing.
///
/// A number with leading zeros, a sign `+` or an exponent is text, and so is `-0.0`.
///
/// ```
/// use fm_core::schema::canonical;
///
/// assert_eq!([" a ", "4.00", "-7.0", "True"].map(canonical), ["a", "4", "-7", "true"]);
/// assert_eq!(["042", "4.50", "007.0", "4e0", ".0"].map(canonical), ["042", "4.50", "007.0", "4e0", ".0"]);
/// ```
pub fn canonical(text: &str) -> &str {
    let text = text.trim_ascii();
    match text.len() {
        4 if text.eq_ignore_ascii_case("true") => "true",
        5 if text.eq_ignore_ascii_case("false") => "false",
        _ => integer(text).unwrap_or(text),
    }
}

/// The integer of an integral decimal.
fn integer(text: &str) -> Option<&str> {
    let (integer, zeros) = text.strip_suffix('0')?.split_once('.')?;
    let digits = integer.strip_prefix('-').unwrap_or(integer);
    let is_integral = zeros.bytes().all(|digit| digit == b'0')
        && digits.bytes().all(|digit| digit.is_ascii_digit())
        && (integer == "0" || matches!(digits.as_bytes().first(), Some(b'1'..=b'9')));
    is_integral.then_some(integer)
}

/// How the texts of a field become values. [`Schema::reading`](crate::Schema::reading) returns that of a field.
///
/// ```
/// use fm_core::schema::{List, Reading, Weighting};
///
/// let null_values = ["n/a".to_owned()];
/// let reading = Reading::new(false, &null_values);
/// assert_eq!((reading.value(" 4.0"), reading.value("n/a "), reading.value(" ")), (Some("4"), None, None));
/// let list = List::new("|", 10, Weighting::Sum);
/// for text in ["a | b||n/a", "['a', 'b']", r#"["a", "b"]"#] {
///     assert!(reading.pieces(Some(text), &list).map(|(value, _)| value).eq(["a", "b"]));
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading<'s> {
    is_exact: bool,
    null_values: &'s [String],
}

impl<'s> Reading<'s> {
    /// Values are compared byte by byte if `is_exact`, and by their [`canonical`] form otherwise. `null_values` are missing.
    pub fn new(is_exact: bool, null_values: &'s [String]) -> Reading<'s> {
        Reading { is_exact, null_values }
    }

    /// Whether values are compared byte by byte.
    pub fn is_exact(self) -> bool {
        self.is_exact
    }

    /// The value in a text; `None` if it is missing: empty, or one of the null values. In an exact field, spaces are a value.
    pub fn value(self, text: &str) -> Option<&str> {
        let value = if self.is_exact { text } else { canonical(text) };
        (!value.is_empty() && !self.is_null(text)).then_some(value)
    }

    /// Whether a text is one of the null values, in their canonical form.
    pub fn is_null(self, text: &str) -> bool {
        // Most tables declare none.
        !self.null_values.is_empty() && {
            let text = canonical(text);
            self.null_values.iter().any(|null| canonical(null) == text)
        }
    }

    /// The values in the text of a list, each with the number that it adds to its slot before the weighting: 1, or the number
    /// given. Missing values are skipped. The value of a piece whose number is malformed is empty.
    ///
    /// A text in brackets is a list in JSON or Python if it is a valid one. Any other text has the list's separator between its
    /// values; in an exact field, every text does.
    pub fn pieces<'t>(
        self,
        raw: Option<&'t str>,
        list: &'t List,
    ) -> impl Iterator<Item = (Cow<'t, str>, f64)> + Clone + use<'t, 's> {
        let text = raw.filter(|text| !self.is_null(text)).unwrap_or_default();
        let bracketed = if self.is_exact { None } else { bracketed(text) };
        let text = if bracketed.is_some() { "" } else { text };
        let is_given = list.weighting == Weighting::Given;
        // One character is found faster than a text.
        let (one, several) = match list.separator.as_bytes() {
            &[separator] => (Some(text.split(char::from(separator))), None),
            _ => (None, Some(text.split(list.separator.as_str()))),
        };
        let split = one.into_iter().flatten().chain(several.into_iter().flatten()).map(Cow::Borrowed);
        bracketed.into_iter().flatten().chain(split).filter_map(move |piece| match piece {
            Cow::Borrowed(piece) => self.piece(piece, is_given).map(|(value, x)| (Cow::Borrowed(value), x)),
            Cow::Owned(piece) => self.piece(&piece, is_given).map(|(value, x)| (Cow::Owned(value.to_owned()), x)),
        })
    }

    /// The value in a piece of a list, and the number that it adds to its slot.
    fn piece(self, piece: &str, is_given: bool) -> Option<(&str, f64)> {
        let whole = self.value(piece)?;
        let parts = if is_given { piece.rsplit_once(':') } else { None };
        Some(match parts {
            Some((value, given)) => number(given).map_or(("", 1.0), |x| (self.value(value).unwrap_or_default(), x)),
            None => (whole, 1.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_one_value_are_one_value() {
        for (text, value) in [
            ("4.0", "4"),
            ("-12.000", "-12"),
            ("0.0", "0"),
            ("100", "100"),
            ("100.0", "100"),
            ("TRUE", "true"),
            ("False\n", "false"),
            ("\t a b \r\x0c", "a b"),
            ("  ", ""),
            ("", ""),
        ] {
            assert_eq!(canonical(text), value, "{text:?}");
            assert_eq!(canonical(value), value, "{text:?}");
        }
    }

    #[test]
    fn other_texts_stay_what_they_are() {
        for text in [
            "042", "042.0", "-0.0", "00.0", "-.0", ".0", "4.", "4.50", "+4.0", "1e3", "1.2.0", "1,0", "é.0", "truer",
            "a\u{a0}",
        ] {
            assert_eq!(canonical(text), text);
        }
        assert_eq!(canonical("\u{a0}4.0"), "\u{a0}4.0", "a no-break space is no ASCII space");
    }

    #[test]
    fn an_exact_field_compares_bytes() {
        let nulls = ["NA".to_owned()];
        let exact = Reading::new(true, &nulls);
        assert_eq!((exact.value(" 4.0"), exact.value(" "), exact.value("")), (Some(" 4.0"), Some(" "), None));
        assert_eq!((exact.value(" NA "), exact.value("na")), (None, Some("na")));
        let list = List::new("|", 9, Weighting::Sum);
        assert!(exact.pieces(Some("a | b"), &list).map(|(value, _)| value).eq(["a ", " b"]));
        assert!(exact.pieces(Some("['a']"), &list).map(|(value, _)| value).eq(["['a']"]));
    }

    #[test]
    fn null_values_are_missing_in_every_form() {
        let nulls = ["-999".to_owned(), "None".to_owned()];
        let reading = Reading::new(false, &nulls);
        assert_eq!(
            [" -999.0 ", "-999", "None", "none"].map(|text| reading.value(text)),
            [None, None, None, Some("none")]
        );
        let list = List::new("|", 9, Weighting::Given);
        let pieces =
            |text| reading.pieces(Some(text), &list).map(|(value, x)| (value.into_owned(), x)).collect::<Vec<_>>();
        assert_eq!(pieces("None"), []);
        assert_eq!(pieces("a|None|-999|b : 2"), [("a".to_owned(), 1.0), ("b".to_owned(), 2.0)]);
        // A number given with a missing value is one of an unknown value.
        assert_eq!(pieces("None:2|a:x"), [(String::new(), 2.0), (String::new(), 1.0)]);
    }
}
