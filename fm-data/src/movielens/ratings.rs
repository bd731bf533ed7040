//! Ratings: `u.data`, `ratings.dat` and `ratings.csv`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::text::{fields, id_reason, lines, parse_id, shown};
use crate::error::{Error, Result};

/// The header of `ratings.csv`.
const CSV_HEADER: [&str; 4] = ["userId", "movieId", "rating", "timestamp"];

/// Number of bytes of a chunk. Its last line may exceed it.
const CHUNK: usize = 2 << 20;

/// Maximum length of a line, so that a large file of another kind is not loaded into memory.
const LONGEST_LINE: usize = 1 << 20;

/// Reads a file of user, movie, rating and timestamp, chunk by chunk.
pub(super) struct Ratings {
    path: PathBuf,
    file: BufReader<File>,
    separator: &'static [u8],
    /// The number of the next line.
    line: usize,
    /// What is wrong with the file, unless a rating comes.
    nothing: Option<&'static str>,
}

impl Ratings {
    /// A file without a header.
    pub fn delimited(path: PathBuf, separator: &'static [u8]) -> Result<Ratings> {
        let file = BufReader::new(File::open(&path).map_err(Error::io("read", &path))?);
        Ok(Ratings { path, file, separator, line: 1, nothing: Some("the file is empty: download the release again") })
    }

    /// `ratings.csv`, which has a header.
    pub fn csv(path: PathBuf) -> Result<Ratings> {
        check_csv_header(&path, &CSV_HEADER)?;
        let mut ratings = Ratings::delimited(path, b",")?;
        ratings.file.skip_until(b'\n').map_err(Error::io("read", &ratings.path))?;
        Ok(Ratings { line: 2, nothing: Some("the file has no ratings: download the release again"), ..ratings })
    }

    /// The next ratings; `None` after the last ones.
    fn chunk(&mut self) -> Result<Option<DataFrame>> {
        let mut bytes = Vec::with_capacity(CHUNK + (CHUNK >> 4));
        let read = |file: &mut BufReader<File>, bytes: &mut Vec<u8>| -> std::io::Result<()> {
            file.take(CHUNK as u64).read_to_end(bytes)?;
            if bytes.last().is_some_and(|&byte| byte != b'\n') {
                file.take(LONGEST_LINE as u64).read_until(b'\n', bytes)?;
            }
            Ok(())
        };
        read(&mut self.file, &mut bytes).map_err(Error::io("read", &self.path))?;
        if bytes.is_empty() {
            return match self.nothing {
                Some(reason) => Err(Error::data(&self.path, None, reason)),
                None => Ok(None),
            };
        }
        let before = self.line - 1;
        self.line += bytes.iter().filter(|&&byte| byte == b'\n').count();
        let chunk = scan(&self.path, self.separator, lines(&bytes).map(|(line, text)| (before + line, text)))?;
        self.nothing = self.nothing.filter(|_| chunk.height() == 0);
        Ok(Some(chunk))
    }
}

impl Iterator for Ratings {
    type Item = Result<DataFrame>;

    fn next(&mut self) -> Option<Result<DataFrame>> {
        self.chunk().transpose()
    }
}

/// All ratings in one table.
pub(super) fn whole(chunks: impl Iterator<Item = Result<DataFrame>>) -> Result<DataFrame> {
    let mut all = DataFrame::default();
    for chunk in chunks {
        let chunk = chunk?;
        all = if all.width() == 0 { chunk } else { all.vstack(&chunk)? };
    }
    all.rechunk_mut_par();
    Ok(all)
}

/// Half a star to five stars.
pub(super) fn is_rating(rating: f32) -> bool {
    (0.5..=5.0).contains(&rating)
}

/// Checks the first line of a CSV file.
pub(super) fn check_csv_header(path: &Path, expected: &[&str]) -> Result<()> {
    let file = File::open(path).map_err(Error::io("read", path))?;
    let mut header = Vec::new();
    // Longer than any header, to avoid reading a whole file without line ends.
    let mut reader = BufReader::new(file.take(4096));
    reader.read_until(b'\n', &mut header).map_err(Error::io("read", path))?;
    let header = String::from_utf8_lossy(&header);
    let header = header.trim_start_matches('\u{feff}').trim();
    if header.is_empty() {
        return Err(Error::data(path, 1, "the file is empty, or starts with a blank line: download the release again"));
    }
    let found: Vec<&str> = header.split(',').map(|name| name.trim_matches('"')).collect();
    if found == expected {
        return Ok(());
    }
    let reason = match expected.iter().find(|name| !found.contains(name)) {
        Some(missing) => format!("the column `{missing}` is missing"),
        None => "the columns differ".to_owned(),
    };
    Err(Error::data(
        path,
        1,
        format!("{reason}: expected the header `{}`, found {}", expected.join(","), shown(header)),
    ))
}

/// Reads ratings line by line.
fn scan<'a>(path: &Path, separator: &[u8], lines: impl Iterator<Item = (usize, &'a [u8])>) -> Result<DataFrame> {
    let mut users = StringChunkedBuilder::new("user_id".into(), 0);
    let mut movies = StringChunkedBuilder::new("movie_id".into(), 0);
    let (mut ratings, mut timestamps) = (vec![], vec![]);
    for (line, text) in lines {
        let rating = Rating::parse(text, separator).map_err(|reason| Error::data(path, line, reason))?;
        users.append_value(rating.user);
        movies.append_value(rating.movie);
        ratings.push(rating.rating);
        timestamps.push(rating.timestamp);
    }
    let columns = vec![
        users.finish().into_column(),
        movies.finish().into_column(),
        Column::new("rating".into(), ratings),
        Column::new("timestamp".into(), timestamps),
    ];
    DataFrame::new(columns[0].len(), columns).map_err(|error| Error::data(path, None, error.to_string()))
}

/// The content of a line.
pub(super) struct Rating<'a> {
    pub(super) user: &'a str,
    pub(super) movie: &'a str,
    pub(super) rating: f32,
    pub(super) timestamp: i64,
}

impl<'a> Rating<'a> {
    /// Parses a line. The error is the reason why it is invalid.
    pub(super) fn parse(line: &'a [u8], separator: &[u8]) -> Result<Rating<'a>, String> {
        let Some(found) = fields(line, separator) else {
            return Err(format!(
                "expected the 4 fields user, movie, rating and timestamp, found {}: the file may be cut off; download \
                 the release again",
                shown(line)
            ));
        };
        let unquoted =
            |field: &'a [u8]| field.strip_prefix(b"\"").and_then(|field| field.strip_suffix(b"\"")).unwrap_or(field);
        let [user, movie, rating, timestamp] = found.map(unquoted);
        let number = |field: &'a [u8]| std::str::from_utf8(field).ok();
        let stars: f32 = number(rating)
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| format!("rating {} is not a number; ratings are 0.5 to 5 stars", shown(rating)))?;
        if !is_rating(stars) {
            return Err(format!("rating {} is outside 0.5 to 5 stars", shown(rating)));
        }
        Ok(Rating {
            user: parse_id(user).ok_or_else(|| id_reason("user", user))?,
            movie: parse_id(movie).ok_or_else(|| id_reason("movie", movie))?,
            rating: stars,
            timestamp: number(timestamp).and_then(|text| text.parse().ok()).ok_or_else(|| {
                format!("timestamp {} is not a whole number of seconds of up to 64 bits", shown(timestamp))
            })?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8], reader: impl Fn(PathBuf) -> Result<Ratings>) -> Result<DataFrame> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ratings");
        std::fs::write(&path, text).unwrap();
        whole(reader(path)?)
    }

    /// Reads the rows as a CSV and as a `::` file, and checks that both agree.
    fn read_both(rows: &str) -> Result<DataFrame> {
        let csv = read(format!("userId,movieId,rating,timestamp\n{rows}").as_bytes(), Ratings::csv);
        let dat = read(rows.replace(',', "::").as_bytes(), |path| Ratings::delimited(path, b"::"));
        match (csv, dat) {
            (Ok(csv), Ok(dat)) => {
                assert!(csv.equals(&dat), "{csv:?} {dat:?}");
                Ok(csv)
            }
            (Err(csv), Err(dat)) => {
                let reason = |error: &Error| error.to_string().split_once(", line ").map(|(_, text)| text.to_owned());
                let one_less = |text: String| {
                    let (line, reason) = text.split_once(':').unwrap();
                    format!("{}:{reason}", line.parse::<usize>().unwrap() - 1)
                };
                // The CSV file has a header line, and errors show the separators.
                let csv_reason = reason(&csv).map(one_less).map(|text| text.replace(',', "::"));
                assert_eq!(csv_reason, reason(&dat).map(|text| text.replace(',', "::")));
                Err(dat)
            }
            (csv, dat) => panic!("the readers disagree: {csv:?} {dat:?}"),
        }
    }

    fn refused(rows: &str) -> String {
        let message = read_both(rows).unwrap_err().to_string();
        assert_eq!(message.lines().count(), 1, "{message}");
        message.split_once(", ").unwrap().1.to_owned()
    }

    #[test]
    fn rows_keep_their_order_and_their_types() {
        let ratings = read_both("2,10,3.5,978300760\n1,9,5,-1\n2,9,0.5,9223372036854775807\n").unwrap();
        let dtypes = [DataType::String, DataType::String, DataType::Float32, DataType::Int64];
        assert_eq!(ratings.dtypes(), dtypes);
        let names: Vec<_> = ratings.columns().iter().map(|column| column.name().as_str()).collect();
        assert_eq!(names, ["user_id", "movie_id", "rating", "timestamp"]);
        assert_eq!(
            ratings.column("user_id").unwrap().str().unwrap().iter().flatten().collect::<Vec<_>>(),
            ["2", "1", "2"]
        );
        assert_eq!(
            ratings.column("rating").unwrap().f32().unwrap().iter().flatten().collect::<Vec<_>>(),
            [3.5, 5.0, 0.5]
        );
    }

    #[test]
    fn windows_line_ends_blank_lines_and_a_missing_last_line_end_are_accepted() {
        let rows = "1,2,3,4\n5,6,1.5,8\n";
        let plain = read_both(rows).unwrap();
        for variant in ["1,2,3,4\r\n5,6,1.5,8\r\n", "1,2,3,4\n5,6,1.5,8", "1,2,3,4\n\n5,6,1.5,8\n\n"] {
            assert!(read_both(variant).unwrap().equals(&plain), "{variant:?}");
        }
    }

    #[test]
    fn an_error_names_its_line() {
        let torn = refused("1,2,3,4\n1,3,3,5\n1,4,3");
        assert!(torn.starts_with("line 3: expected the 4 fields user, movie, rating and timestamp"), "{torn}");
        assert!(refused("1,2,3,4\n1,2,3,4,5\n").starts_with("line 2: expected the 4 fields"));
        assert!(refused("1,2,3,4\n1,2,abc,4\n").starts_with("line 2: rating `abc` is not a number"));
        assert!(refused("1,2,3,4\n1,2,,4\n").starts_with("line 2: rating `` is not a number"));
        assert!(refused("1,2,0,4\n").starts_with("line 1: rating `0` is outside 0.5 to 5"));
        assert!(refused("1,2,5.5,4\n").starts_with("line 1: rating `5.5` is outside"));
        assert!(refused("1,2,NaN,4\n").starts_with("line 1: rating `NaN` is outside"));
        assert!(refused("x,2,3,4\n").starts_with("line 1: user id `x` is not a whole number"));
        assert!(refused("1,18446744073709551616,3,4\n").starts_with("line 1: movie id `18446744073709551616`"));
        assert!(refused("1,2,3,9223372036854775808\n").starts_with("line 1: timestamp `9223372036854775808`"));
        assert!(refused("1,2,3,4.5\n").starts_with("line 1: timestamp `4.5`"));
    }

    #[test]
    fn the_line_is_right_in_a_file_of_many_chunks() {
        let mut rows = "12345,67890,4.5,1112486027\n".repeat(200_000);
        rows.push_str("12345,67890,4.5,x\n");
        assert!(refused(&rows).starts_with("line 200001: timestamp `x`"));
    }

    #[test]
    fn an_empty_file_is_an_error() {
        for (text, reason) in [("", "is empty"), ("userId,movieId,rating,timestamp\n", "has no ratings")] {
            let message = read(text.as_bytes(), Ratings::csv).unwrap_err().to_string();
            assert!(message.contains(reason), "{message}");
        }
        let message = read(b"\n\n", |path| Ratings::delimited(path, b"::")).unwrap_err().to_string();
        assert!(message.contains("is empty"), "{message}");
    }

    #[test]
    fn a_missing_column_is_named() {
        let message = read(b"userId,movieId,timestamp\n1,2,3\n", Ratings::csv).unwrap_err().to_string();
        assert!(message.contains("line 1: the column `rating` is missing: expected the header"), "{message}");
        let message = read(b"movieId,userId,rating,timestamp\n1,2,3,4\n", Ratings::csv).unwrap_err().to_string();
        assert!(message.contains("line 1: the columns differ"), "{message}");
    }

    #[test]
    fn a_byte_order_mark_and_quotes_are_accepted() {
        let text = "\u{feff}\"userId\",movieId,rating,timestamp\n\"1\",\"2\",3.5,4\n";
        let ratings = read(text.as_bytes(), Ratings::csv).unwrap();
        assert_eq!(ratings.column("movie_id").unwrap().str().unwrap().get(0), Some("2"));
    }

    #[test]
    fn bytes_that_are_not_text_are_an_error() {
        let message = read(b"1\t2\t\xff\xfe\t4\n", |path| Ratings::delimited(path, b"\t")).unwrap_err().to_string();
        assert!(message.contains("line 1: rating"), "{message}");
    }
}
