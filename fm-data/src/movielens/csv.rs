//! CSV text with quotes (RFC 4180), read record by record so that errors can name the line.

/// The records of CSV text, each with the line of its start, from 1. Skips blank lines.
pub(super) struct Records<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Records<'a> {
    pub(super) fn new(text: &'a str) -> Records<'a> {
        Records { rest: text, line: 1 }
    }

    /// The next field, and whether another field of the record follows. `None` if its quotes are misplaced.
    fn field(&mut self) -> Option<(String, bool)> {
        let mut field = String::new();
        if let Some(quoted) = self.rest.strip_prefix('"') {
            self.rest = quoted;
            loop {
                let end = self.rest.find('"')?;
                field.push_str(&self.rest[..end]);
                self.rest = &self.rest[end + 1..];
                // Two quotes are one quote.
                match self.rest.strip_prefix('"') {
                    Some(rest) => self.rest = rest,
                    None => break,
                }
                field.push('"');
            }
            self.line += field.matches('\n').count();
        } else {
            let end = self.rest.find([',', '\n']).unwrap_or(self.rest.len());
            let text = &self.rest[..end];
            self.rest = &self.rest[end..];
            let at_line_end = !self.rest.starts_with(',');
            field.push_str(if at_line_end { text.trim_end_matches('\r') } else { text });
        }
        if let Some(rest) = self.rest.strip_prefix(',') {
            self.rest = rest;
            return Some((field, true));
        }
        self.rest = match self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix('\n')) {
            Some(rest) => rest,
            None if self.rest.is_empty() => "",
            None => return None,
        };
        self.line += 1;
        Some((field, false))
    }
}

impl Iterator for Records<'_> {
    /// The line and the fields; `None` for a record with misplaced quotes, which is the last one.
    type Item = (usize, Option<Vec<String>>);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let first_line = self.line;
            let mut fields = Vec::new();
            loop {
                let Some((field, more)) = self.field() else {
                    self.rest = "";
                    return Some((first_line, None));
                };
                fields.push(field);
                if !more {
                    break;
                }
            }
            if fields != [""] {
                return Some((first_line, Some(fields)));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records(text: &str) -> Vec<(usize, Option<Vec<String>>)> {
        Records::new(text).collect()
    }

    fn record(line: usize, fields: &[&str]) -> (usize, Option<Vec<String>>) {
        (line, Some(fields.iter().map(|&field| field.to_owned()).collect()))
    }

    #[test]
    fn quotes_line_ends_and_blank_lines_are_parsed() {
        let text = "a,b\r\n\n\"x, \"\"y\"\"\",\"1\n2\"\n,\nlast,é";
        let third = record(3, &["x, \"y\"", "1\n2"]);
        let expected = [record(1, &["a", "b"]), third, record(5, &["", ""]), record(6, &["last", "é"])];
        assert_eq!(records(text), expected);
        assert_eq!(records(""), []);
    }

    #[test]
    fn an_unclosed_or_misplaced_quote_is_an_error_with_the_line_of_its_record() {
        assert_eq!(records("a\nb,\"c\nd\n"), [record(1, &["a"]), (2, None)]);
        assert_eq!(records("\"a\"b,c\n"), [(1, None)]);
    }

    proptest! {
        #[test]
        fn quoted_fields_are_read_back(
            table in prop::collection::vec(prop::collection::vec("[a,\"\n\ré]{0,5}", 2..4), 0..5),
        ) {
            let quoted = |fields: &Vec<String>| {
                let fields = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\"")));
                fields.collect::<Vec<_>>().join(",") + "\n"
            };
            let text: String = table.iter().map(quoted).collect();
            let found: Vec<_> = Records::new(&text).map(|(_, fields)| fields.unwrap()).collect();
            prop_assert_eq!(found, table);
        }

        #[test]
        fn any_text_is_read_to_its_end(text in "[a,\"\n\r]{0,30}") {
            prop_assert!(Records::new(&text).count() <= text.len());
        }
    }
}
