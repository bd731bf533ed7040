//! The releases that GroupLens publishes.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The address of GroupLens' archives.
pub const BASE_URL: &str = "https://files.grouplens.org/datasets/movielens";

/// A MovieLens release of GroupLens (Harper and Konstan, 2015, <https://doi.org/10.1145/2827872>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Release {
    /// 100,000 ratings of 1,682 movies by 943 users (1998), with attributes of the users.
    Ml100k,
    /// 1,000,209 ratings of 3,706 movies by 6,040 users (2003), with attributes of the users.
    Ml1m,
    /// 10,000,054 ratings (2009).
    Ml10m,
    /// 20,000,263 ratings (2016).
    Ml20m,
    /// 25,000,095 ratings (2019).
    Ml25m,
    /// 32,000,204 ratings (2024).
    Ml32m,
    /// About 100,000 recent ratings. It changes from time to time, so results on it are not comparable.
    LatestSmall,
}

impl Release {
    /// All releases, oldest first.
    pub const ALL: [Release; 7] = [
        Release::Ml100k,
        Release::Ml1m,
        Release::Ml10m,
        Release::Ml20m,
        Release::Ml25m,
        Release::Ml32m,
        Release::LatestSmall,
    ];

    /// The name: "ml-1m".
    pub fn name(self) -> &'static str {
        match self {
            Release::Ml100k => "ml-100k",
            Release::Ml1m => "ml-1m",
            Release::Ml10m => "ml-10m",
            Release::Ml20m => "ml-20m",
            Release::Ml25m => "ml-25m",
            Release::Ml32m => "ml-32m",
            Release::LatestSmall => "ml-latest-small",
        }
    }

    /// The archive's file name: "ml-1m.zip".
    pub fn archive(self) -> String {
        format!("{}.zip", self.name())
    }

    /// The archive's MD5 sum, as published by GroupLens. `None` for the release that changes, whose sum is in the file
    /// `<archive>.md5`.
    pub fn md5(self) -> Option<&'static str> {
        match self {
            Release::Ml100k => Some("0e33842e24a9c977be4e0107933c0723"),
            Release::Ml1m => Some("c4d9eecfca2ab87c1945afe126590906"),
            Release::Ml10m => Some("ce571fd55effeba0271552578f2648bd"),
            Release::Ml20m => Some("cd245b17a1ae2cc31bb14903e1204af3"),
            Release::Ml25m => Some("6b51fb2759a8657d3bfcbfc42b592ada"),
            Release::Ml32m => Some("d472be332d4daa821edc399621853b57"),
            Release::LatestSmall => None,
        }
    }

    /// The top-level folder of the archive.
    pub(super) fn archive_folder(self) -> &'static str {
        match self {
            Release::Ml10m => "ml-10M100K",
            _ => self.name(),
        }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Release {
    type Err = Error;

    fn from_str(name: &str) -> Result<Release> {
        Release::ALL.into_iter().find(|release| release.name() == name).ok_or_else(|| {
            let known = Release::ALL.map(|release| release.name().to_owned()).to_vec();
            Error::Unknown { what: "MovieLens release", name: name.to_owned(), known }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_release_is_found_by_its_name() {
        for release in Release::ALL {
            assert_eq!(release.to_string().parse::<Release>().unwrap(), release);
        }
    }

    #[test]
    fn the_error_for_an_unknown_name_has_the_closest_name_and_all_names() {
        let message = |name: &str| name.parse::<Release>().unwrap_err().to_string();
        let all = "available: ml-100k, ml-1m, ml-10m, ml-20m, ml-25m, ml-32m, ml-latest-small";
        assert_eq!(message("ML-1M"), format!("there is no MovieLens release `ML-1M`; did you mean `ml-1m`? {all}"));
        assert_eq!(message("netflix"), format!("there is no MovieLens release `netflix`; {all}"));
    }

    #[test]
    fn the_sums_are_md5_sums_and_differ() {
        let sums: Vec<_> = Release::ALL.into_iter().filter_map(Release::md5).collect();
        assert!(sums.iter().all(|sum| sum.len() == 32 && sum.bytes().all(|b| b.is_ascii_hexdigit())));
        assert_eq!(sums.iter().collect::<std::collections::HashSet<_>>().len(), 6);
    }
}
