//! Small synthetic data with a planted taste: every user likes one of four kinds of films.

use std::fmt::Write;
use std::path::Path;

pub const USERS: usize = 60;
pub const FILMS: usize = 80;
pub const RATINGS: usize = 3000;
/// A film of the catalogue that nobody has rated.
pub const UNRATED: usize = FILMS;
/// The title of film 1, which the files hold in Latin-1.
pub const ACCENTED: &str = "Les Misérables (1995)";

/// The numbers of Knuth's 64-bit linear congruential generator, the same everywhere.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % bound as u64) as usize
    }
}

/// A rating: user, film and their stars.
struct Rating {
    user: usize,
    film: usize,
    stars: usize,
}

fn is_liked(user: usize, film: usize) -> bool {
    user % 4 == film % 4
}

/// Distinct pairs in a random order: 4 or 5 stars for liked films, 1 to 3 for others.
fn ratings() -> Vec<Rating> {
    let mut numbers = Numbers(1);
    let mut pairs: Vec<(usize, usize)> =
        (1..=USERS).flat_map(|user| (1..UNRATED).map(move |film| (user, film))).collect();
    for last in (1..pairs.len()).rev() {
        pairs.swap(last, numbers.below(last + 1));
    }
    pairs.truncate(RATINGS);
    let stars = |user, film, numbers: &mut Numbers| match is_liked(user, film) {
        true => 4 + numbers.below(2),
        false => 1 + numbers.below(3),
    };
    pairs.into_iter().map(|(user, film)| Rating { user, film, stars: stars(user, film, &mut numbers) }).collect()
}

/// Writes `u.data`, `u.item`, `u.user`, and the fold u1 of every fifth rating.
pub fn write_movielens(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    let (mut all, mut base, mut test) = (String::new(), String::new(), String::new());
    for (row, Rating { user, film, stars }) in ratings().into_iter().enumerate() {
        let line = format!("{user}\t{film}\t{stars}\t{}\n", 880_000_000 + 4_000 * row);
        all.push_str(&line);
        if row % 5 == 0 { &mut test } else { &mut base }.push_str(&line);
    }
    write("u.data", all.as_bytes());
    write("u1.base", base.as_bytes());
    write("u1.test", test.as_bytes());

    let mut items = String::new();
    for film in 1..=FILMS {
        let title = if film == 1 { ACCENTED.to_owned() } else { format!("Film {film} ({})", 1950 + film / 2) };
        let flags: String = (0..19).map(|genre| if genre == 1 + film % 4 { "|1" } else { "|0" }).collect();
        writeln!(items, "{film}|{title}|01-Jan-1995||http://example.org/{film}{flags}").unwrap();
    }
    let latin_1: Vec<u8> = items.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    assert!(std::str::from_utf8(&latin_1).is_err());
    write("u.item", &latin_1);

    let occupations = ["artist", "doctor", "writer"];
    let user = |user: usize| {
        let gender = if user.is_multiple_of(2) { "F" } else { "M" };
        format!("{user}|{}|{gender}|{}|{:05}\n", 18 + user % 40, occupations[user % 3], 10_000 + 997 * user)
    };
    write("u.user", (1..=USERS).map(user).collect::<String>().as_bytes());
}

/// The declaration of a table with users and items, by default readers and books: from its other roles, and from what
/// follows the field of the items.
macro_rules! declaration {
    ($roles:literal, $rest:literal) => {
        crate::data::declaration!("reader", "book", $roles, $rest)
    };
    ($user:literal, $item:literal, $roles:literal, $rest:literal) => {
        concat!(
            $roles,
            "\nuser = \"",
            $user,
            "\"\nitem = \"",
            $item,
            "\"\n\n[[field]]\nname = \"",
            $user,
            "\"\nkind = \"categorical\"\nside = \"user\"\n\n[[field]]\nname = \"",
            $item,
            "\"\nkind = \"categorical\"\nside = \"item\"\n",
            $rest
        )
    };
}
pub(crate) use declaration;

/// The declaration of [`table`]: categorical, multi-valued and numeric fields.
pub const SCHEMA: &str = declaration!(
    r#"
label = "stars"
timestamp = "when"
title = "name""#,
    r#"
[[field]]
name = "tags"
kind = "multi-valued"
side = "item"
separator = "|"
weighting = "mean"

[[field]]
name = "price"
kind = "numeric"
side = "item"
"#
);

pub const HEADER: &str = "reader,book,name,tags,price,when,stars\n";

/// The header and rows of a table with the same taste: readers `r01`, books `b01`, two tags and a price each, which is
/// sometimes missing.
pub fn table() -> String {
    rows().into_iter().fold(HEADER.to_owned(), |table, row| table + &row)
}

/// The rows of [`table`], each with its line end.
pub fn rows() -> Vec<String> {
    let row = |(row, Rating { user, film, stars }): (usize, Rating)| {
        let price = if film % 9 == 0 { String::new() } else { format!("{}.{}", 5 + film % 7, film % 10) };
        let tags = format!("kind{}|shelf{}", film % 4, film % 6);
        format!("r{user:02},b{film:02},\"Book {film}, or é\",{tags},{price},{},{stars}\n", 1_000 + row)
    };
    ratings().into_iter().enumerate().map(row).collect()
}
