//! The part of a path after `?`.

use std::borrow::Cow;

use crate::problem::Problem;

/// Names and values, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Parses `name=value&...`, with `%41` for a byte and `+` for a space.
    ///
    /// # Errors
    /// 400 for a `%` without two hexadecimal digits, and for bytes that are not UTF-8.
    pub fn parse(text: &str) -> Result<Query, Problem> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        });
        Ok(Query(pairs.collect::<Result<_, Problem>>()?))
    }

    /// Takes the value of a name out; the last one if there are several.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let mut found = None;
        self.0.retain_mut(|(key, value)| {
            let is_it = key == name;
            if is_it {
                found = Some(std::mem::take(value));
            }
            !is_it
        });
        found
    }

    /// The value of a name; the last one if there are several.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The names and values that were not taken.
    pub fn rest(self) -> Vec<(String, String)> {
        self.0
    }

    /// # Errors
    /// 400 if a name was not taken.
    pub fn expect_empty(&self) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(Problem::bad_request(format!("unknown parameter `{name}`"))),
        }
    }
}

/// A whole number of a parameter, from 1 to `most`.
///
/// # Errors
/// 400 for any other text.
pub(crate) fn number(name: &str, text: &str, most: usize) -> Result<usize, Problem> {
    text.parse().ok().filter(|number| (1..=most).contains(number)).ok_or_else(|| {
        Problem::bad_request(format!("`{name}` is `{text}`: it must be a whole number from 1 to {most}"))
    })
}

fn decoded(text: &str) -> Result<String, Problem> {
    let mut bytes = Cow::Borrowed(text.as_bytes());
    if bytes.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        bytes = Cow::Owned(unescaped(text.as_bytes())?);
    }
    let text = String::from_utf8(bytes.into_owned());
    text.map_err(|_| Problem::bad_request("a parameter is not UTF-8"))
}

fn unescaped(text: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digit = |at: usize| char::from(*after.get(at).unwrap_or(&b'?')).to_digit(16);
                let (Some(high), Some(low)) = (digit(0), digit(1)) else {
                    return Err(Problem::bad_request("a parameter has a `%` without two hexadecimal digits after it"));
                };
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            byte => bytes.push(*byte),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        let mut query = Query::parse("user=a%26b&k=3&city=New+York&&empty&k=4&%C3%A9=%c3%a9").unwrap();
        assert_eq!([query.get("k"), query.get("none")], [Some("4"), None]);
        assert_eq!(
            (query.take("user"), query.take("k"), query.take("none")),
            (Some("a&b".into()), Some("4".into()), None)
        );
        let pairs = [("city", "New York"), ("empty", ""), ("é", "é")];
        assert_eq!(query.rest(), pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn malformed_escapes_are_errors() {
        for text in ["a=%", "a=%4", "a=%zz", "a=%ff", "%=1"] {
            assert_eq!(Query::parse(text).unwrap_err().status(), 400, "{text}");
        }
        for text in ["0", "-1", "11", "x", "1e3", ""] {
            assert_eq!(number("k", text, 10).unwrap_err().status(), 400, "{text}");
        }
        assert_eq!(number("k", "10", 10), Ok(10));
    }

    #[test]
    fn a_parameter_that_nothing_takes_is_an_error() {
        let mut query = Query::parse("model=a&x=1").unwrap();
        query.take("model");
        assert!(query.expect_empty().unwrap_err().message().contains("`x`"));
    }
}
