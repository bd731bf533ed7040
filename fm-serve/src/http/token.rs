//! The token that requests must have.

use std::path::Path;

use axum::http::{HeaderMap, header};

use crate::error::{Error, Result};

/// Minimum number of characters: shorter ones can be guessed.
const SHORTEST: usize = 16;

/// A secret. It is never printed.
pub(crate) struct Token(Vec<u8>);

impl Token {
    /// Reads a token from a file of one line.
    ///
    /// # Errors
    /// [`Error::Token`]; [`Error::Option`] if it is short or not of visible ASCII characters.
    pub fn load(path: &Path) -> Result<Token> {
        let text = std::fs::read(path).map_err(|source| Error::Token { path: path.to_owned(), source })?;
        let token = text.trim_ascii();
        if token.len() < SHORTEST || !token.iter().all(u8::is_ascii_graphic) {
            return Err(Error::Option(format!(
                "{} must hold one line of at least {SHORTEST} ASCII characters, as `openssl rand -hex 32` prints",
                path.display()
            )));
        }
        Ok(Token(token.to_owned()))
    }

    /// Whether a request has it: `Authorization: Bearer TOKEN`.
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).map(|given| given.as_bytes()).unwrap_or_default();
        match given.split_first_chunk() {
            Some((b"Bearer ", given)) => is_equal(given.trim_ascii(), &self.0),
            _ => false,
        }
    }
}

/// Compares in a time that does not depend on the position of the first difference.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| std::hint::black_box(difference | (a ^ b)));
    a.len() == b.len() && difference == 0
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_the_whole_token_is_accepted() {
        let token = Token(b"0123456789abcdef".to_vec());
        let has = |text: &'static str| {
            token.is_in(&HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(text))]))
        };
        assert!(has("Bearer 0123456789abcdef"));
        for wrong in ["Bearer 0123456789abcde", "Bearer 0123456789abcdef0", "Bearer ", "Bearer", "0123456789abcdef", ""]
        {
            assert!(!has(wrong), "{wrong}");
        }
        assert!(!token.is_in(&HeaderMap::new()));
    }

    #[test]
    fn a_file_must_hold_one_long_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        for (content, is_ok) in
            [("0123456789abcdef\n", true), ("short\n", false), ("0123456789 abcdef", false), ("", false)]
        {
            std::fs::write(&file, content).unwrap();
            assert_eq!(Token::load(&file).is_ok(), is_ok, "{content}");
        }
        assert!(Token::load(&folder.path().join("none")).is_err());
    }
}
