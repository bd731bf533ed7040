//! Small releases of every form.

use std::path::Path;

use polars::prelude::*;
use polars_io::prelude::*;

use super::*;

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn read_files(files: &[(&str, &[u8])]) -> Result<MovieLens> {
    read(folder(files).path())
}

/// The message of the error, from the file's name on.
fn refused(files: &[(&str, &[u8])]) -> String {
    let folder = folder(files);
    let message = read(folder.path()).unwrap_err().to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    message.replace(&format!("{}/", folder.path().display()), "")
}

fn texts<'a>(frame: &'a DataFrame, column: &str) -> Vec<Option<&'a str>> {
    frame.column(column).unwrap().str().unwrap().iter().collect()
}

fn names(frame: &DataFrame) -> String {
    frame.columns().iter().map(|column| column.name().as_str()).collect::<Vec<_>>().join(" ")
}

/// Flags of ml-100k's nineteen genres.
fn flags(set: &[usize]) -> String {
    (0..19).map(|genre| if set.contains(&genre) { "|1" } else { "|0" }).collect()
}

const U_DATA: &[u8] = b"196\t242\t3\t881250949\n186\t302\t4\t891717742\n196\t7\t1\t878887116\n";
const U_USER: &[u8] = b"196|49|M|writer|55105\n186|39|F|executive|V0R2M\n";

fn u_item() -> Vec<u8> {
    let first =
        format!("242|Kolya (1996)|24-Jan-1997||http://us.imdb.com/M/title-exact?Kolya%20(1996){}\n", flags(&[5]));
    let mut bytes = first.into_bytes();
    bytes.extend(b"302|Mis\xe9rables, Les (1995)|||");
    bytes.extend(
        format!("{}\n267|unknown|||{}\n1|None (1990)|||{}\n", flags(&[8, 12]), flags(&[0]), flags(&[])).bytes(),
    );
    bytes
}

/// `u.data` and the like, and the same as Parquet.
fn ml_100k() -> [tempfile::TempDir; 2] {
    let text = folder(&[("u.data", U_DATA), ("u.item", &u_item()), ("u.user", U_USER)]);
    let parquet = tempfile::tempdir().unwrap();
    let write = |name: &str, mut frame: DataFrame| {
        let file = std::fs::File::create(parquet.path().join(name)).unwrap();
        ParquetWriter::new(file).finish(&mut frame).unwrap();
    };
    let data = df!("user_id" => [196i64, 186, 196], "movie_id" => [242i64, 302, 7], "rating" => [3i64, 4, 1],
        "timestamp" => [881250949i64, 891717742, 878887116]);
    write("MovieLens100k_data.parquet.brotli", data.unwrap());
    let items = df!("movie_id" => [242i64, 302, 267, 1],
        "movie_title" => ["Kolya (1996)", "Misérables, Les (1995)", "unknown", "None (1990)"],
        "release_date" => [Some("24-Jan-1997"), None, None, None], "video_release_date" => [None::<&str>; 4],
        "IMDb_URL" => [None::<&str>; 4], "unknown" => [0i64, 0, 1, 0], "Comedy" => [1i64, 0, 0, 0],
        "Drama" => [0i64, 1, 0, 0], "Musical" => [0i64, 1, 0, 0])
    .unwrap();
    write("MovieLens100k_items.parquet.brotli", items);
    let users = df!("user_id" => [196i64, 186], "age" => [49i64, 39], "gender" => ["M", "F"],
        "occupation" => ["writer", "executive"], "zip_code" => ["55105", "V0R2M"]);
    write("MovieLens100k_users.parquet.brotli", users.unwrap());
    [text, parquet]
}

#[test]
fn ml_100k_is_read_as_text_and_as_parquet_alike() {
    let [text, parquet] = ml_100k().map(|folder| read(folder.path()).unwrap());
    assert_eq!(texts(&text.ratings, "movie_id"), [Some("242"), Some("302"), Some("7")]);
    assert_eq!(texts(&text.movies, "title")[1], Some("Misérables, Les (1995)"));
    assert_eq!(texts(&text.movies, "year"), [Some("1996"), Some("1995"), None, Some("1990")]);
    assert_eq!(texts(&text.movies, "genres"), [Some("Comedy"), Some("Drama|Musical"), Some("unknown"), None]);
    let users = text.users.as_ref().unwrap();
    assert_eq!(names(users), "user_id gender age occupation zip");
    assert_eq!(
        (texts(users, "gender"), texts(users, "age")),
        (vec![Some("M"), Some("F")], vec![Some("49"), Some("39")])
    );
    assert_eq!(texts(users, "zip"), [Some("551"), Some("V0R")]);

    assert!(text.ratings.equals(&parquet.ratings));
    assert!(text.movies.equals_missing(&parquet.movies));
    assert!(users.equals_missing(parquet.users.as_ref().unwrap()));
}

#[test]
fn the_frame_has_the_attributes_of_movie_user_and_time() {
    let [folder, _] = ml_100k();
    let frame = read(folder.path()).unwrap().frame().unwrap();
    let expected = "user_id movie_id rating timestamp title year genres gender age occupation zip hour weekday";
    assert_eq!(names(&frame), expected);
    assert_eq!(texts(&frame, "user_id"), [Some("196"), Some("186"), Some("196")]);
    assert_eq!(texts(&frame, "genres"), [Some("Comedy"), Some("Drama|Musical"), None], "movie 7 is not in u.item");
    assert_eq!(texts(&frame, "occupation"), [Some("writer"), Some("executive"), Some("writer")]);
    // 1997-12-04 15:55:49, a Thursday; 1998-04-04 19:22:22, a Saturday; 1997-11-07 07:18:36, a Friday.
    assert_eq!(texts(&frame, "hour"), [Some("15"), Some("19"), Some("7")]);
    assert_eq!(texts(&frame, "weekday"), [Some("3"), Some("5"), Some("4")]);
}

#[test]
fn equal_timestamps_give_no_hour_and_no_weekday() {
    let files: [(&str, &[u8]); 2] =
        [("ratings.dat", b"1::2::3::0\n1::3::4::0\n"), ("movies.dat", b"2::A (1990)::War\n")];
    let frame = read_files(&files).unwrap().frame().unwrap();
    assert_eq!(names(&frame), "user_id movie_id rating timestamp title year genres");
}

#[test]
fn genres_come_from_the_genre_file_if_there_is_one() {
    let item = b"1|A (1990)||||1|0|1\n";
    let files: [(&str, &[u8]); 4] =
        [("u.data", U_DATA), ("u.item", item), ("u.user", U_USER), ("u.genre", b"Noir|0\nPulp|1\nOpera|2\n\n")];
    assert_eq!(texts(&read_files(&files).unwrap().movies, "genres"), [Some("Noir|Opera")]);
    let mut broken = files;
    broken[3].1 = b"Noir|0\nPulp|2\n";
    assert_eq!(refused(&broken), "u.genre, line 2: expected a name and `|1`, found `Pulp|2`");
}

#[test]
fn ml_1m_is_read_in_latin_1_and_in_utf_8() {
    let ratings: &[u8] = b"1::73::5::978300760\n2::5::3::978302109\n";
    let users: &[u8] = b"1::F::1::10::48067\n2::M::56::16::70072\n";
    let latin_1: &[u8] = b"73::Mis\xe9rables, Les (1995)::Drama|Musical\n5::2001::x (1968)::Sci-Fi\n";
    let utf_8 = "73::Misérables, Les (1995)::Drama|Musical\n5::2001::x (1968)::Sci-Fi\n".as_bytes();
    for movies in [latin_1, utf_8] {
        let data = read_files(&[("ratings.dat", ratings), ("users.dat", users), ("movies.dat", movies)]).unwrap();
        assert_eq!(texts(&data.movies, "title"), [Some("Misérables, Les (1995)"), Some("2001::x (1968)")]);
        assert_eq!(texts(&data.movies, "genres"), [Some("Drama|Musical"), Some("Sci-Fi")]);
        let users = data.users.unwrap();
        assert_eq!((texts(&users, "age")[1], texts(&users, "occupation")[0]), (Some("56"), Some("10")));
    }
}

#[test]
fn ml_10m_has_half_stars_and_no_users() {
    let movies = b"122::Boomerang (1992)::Comedy|Romance\n7::X (1990)::(no genres listed)\n";
    let data = read_files(&[("ratings.dat", b"1::122::3.5::838985046\n"), ("movies.dat", movies)]).unwrap();
    assert!(data.users.is_none());
    assert_eq!(data.ratings.column("rating").unwrap().f32().unwrap().get(0), Some(3.5));
    assert_eq!(texts(&data.movies, "genres"), [Some("Comedy|Romance"), None]);
}

const RATINGS_CSV: &[u8] = b"userId,movieId,rating,timestamp\n1,2,3.5,1112486027\n";

#[test]
fn movies_csv_is_read_with_quotes_line_ends_and_missing_genres() {
    let movies = "movieId,title,genres\n\
        1,Toy Story (1995),Adventure|Animation\n\
        11,\"American President, The (1995)\",Comedy\n\
        73,\"Misérables, Les (1995)\",(no genres listed)\n\
        89,\"\"\"Nick\"\" of Time (1995)\",Thriller\n";
    for movies in
        [movies.to_owned(), movies.replace('\n', "\r\n"), movies.trim_end().to_owned(), format!("\u{feff}{movies}")]
    {
        let data = read_files(&[("ratings.csv", RATINGS_CSV), ("movies.csv", movies.as_bytes())]).unwrap();
        let titles = texts(&data.movies, "title");
        assert_eq!(&titles[1..3], [Some("American President, The (1995)"), Some("Misérables, Les (1995)")]);
        assert_eq!(titles[3], Some("\"Nick\" of Time (1995)"));
        let genres = texts(&data.movies, "genres");
        assert_eq!(genres, [Some("Adventure|Animation"), Some("Comedy"), None, Some("Thriller")]);
    }
}

#[test]
fn faults_of_movies_csv_are_named_with_their_line() {
    let refused = |rows: &[u8]| {
        let movies = [b"movieId,title,genres\n1,A (1990),War\n", rows].concat();
        refused(&[("ratings.csv", RATINGS_CSV), ("movies.csv", &movies)])
    };
    assert_eq!(refused(b"1,B,War\n"), "movies.csv, line 3: movie id `1` occurs twice, first on line 2: remove one");
    assert!(refused(b"2,\"B\nC\",War\n1,D,War\n").starts_with("movies.csv, line 5: movie id `1` occurs twice"));
    assert!(refused(b"x,B,War\n").starts_with("movies.csv, line 3: movie id `x` is not a whole number"));
    assert!(refused(b"2,B,War\n3,C").starts_with("movies.csv, line 4: expected the 3 columns"));
    assert!(refused(b"2,B,War\n3,Mis\xe9rables,War\n").starts_with("movies.csv, line 4: the text is not UTF-8"));
    assert!(refused(b"2,B,War,5\n").starts_with("movies.csv, line 3: expected the 3 columns"));
    assert!(
        refused(b"2,\"B,War\n3,C,War\n")
            .starts_with("movies.csv, line 3: opens a quote that never closes: the file may be cut off")
    );
}

#[test]
fn a_missing_column_or_content_of_movies_csv_is_an_error() {
    let refused = |movies: &[u8]| refused(&[("ratings.csv", RATINGS_CSV), ("movies.csv", movies)]);
    assert!(refused(b"movieId,title\n1,A\n").starts_with("movies.csv, line 1: the column `genres` is missing"));
    assert!(refused(b"").starts_with("movies.csv, line 1: the file is empty"));
    assert!(refused(b"movieId,title,genres\n").starts_with("movies.csv: the file has no movie"));
}

#[test]
fn faults_of_the_early_files_are_named_with_their_line() {
    let item = u_item();
    let tabs =
        |data: &[u8], items: &[u8], users: &[u8]| refused(&[("u.data", data), ("u.item", items), ("u.user", users)]);
    assert!(tabs(b"1\t2\t3\t4\n1\t3\t4", &item, U_USER).starts_with("u.data, line 2: expected the 4 fields"));
    assert!(tabs(U_DATA, &[&item[..], b"5|B|"].concat(), U_USER).starts_with("u.item, line 5: expected 24 fields"));
    assert!(
        tabs(U_DATA, &[&item[..], &item[..]].concat(), U_USER).starts_with("u.item, line 5: movie id `242` occurs")
    );
    let flag = format!("1|A|||{}|2\n", &flags(&[])[..36]);
    assert_eq!(tabs(U_DATA, flag.as_bytes(), U_USER), "u.item, line 1: a genre's flag is `2` instead of 0 or 1");
    assert!(tabs(U_DATA, &item, b"1|24|M|writer\n").starts_with("u.user, line 1: expected 5 fields"));
    assert!(tabs(U_DATA, &item, b"1|24|M|a|1\n1|24|M|a|1\n").starts_with("u.user, line 2: user id `1` occurs twice"));
    assert!(tabs(U_DATA, &item, b"\n").starts_with("u.user: the file is empty"));
    let dat = |movies: &[u8]| refused(&[("ratings.dat", b"1::2::3::4\n"), ("movies.dat", movies)]);
    assert!(dat(b"1::A::War\n2::B").starts_with("movies.dat, line 2: expected the 3 fields id, title and genres"));
}

#[test]
fn faults_of_the_parquet_files_are_named() {
    let [_, parquet] = ml_100k();
    let path = |name: &str| parquet.path().join(format!("MovieLens100k_{name}.parquet.brotli"));
    let overwrite = |name: &str, frame: PolarsResult<DataFrame>| {
        let file = std::fs::File::create(path(name)).unwrap();
        ParquetWriter::new(file).finish(&mut frame.unwrap()).unwrap();
        let message = read(parquet.path()).unwrap_err().to_string();
        message.split_once(&format!("MovieLens100k_{name}.parquet.brotli: ")).unwrap().1.to_owned()
    };
    let users = df!("user_id" => [1i64, 1], "age" => [1i64, 1], "gender" => ["", ""], "occupation" => ["", ""],
        "zip_code" => ["", ""]);
    assert_eq!(overwrite("users", users), "row 2: user id `1` occurs twice, first on row 1: remove one");
    let items = df!("movie_id" => [1i64], "movie_title" => ["A"], "War" => [2i64]);
    assert_eq!(overwrite("items", items), "row 1: the flag of genre `War` is not 0 or 1");
    let data = df!("user_id" => [1i64], "movie_id" => [2i64], "rating" => [7i64], "timestamp" => [0i64]);
    assert_eq!(overwrite("data", data), "row 1: the rating is 7 instead of 0.5 to 5 stars");
    let data = df!("user_id" => [1i64], "movie_id" => [2i64], "rating" => [5i64]);
    assert_eq!(overwrite("data", data), "the column `timestamp` is missing: the file has user_id, movie_id, rating");
    let bytes = std::fs::read(path("data")).unwrap();
    std::fs::write(path("data"), &bytes[..bytes.len() / 2]).unwrap();
    let message = read(parquet.path()).unwrap_err().to_string();
    assert!(message.contains("not a readable Parquet file") && message.lines().count() == 1, "{message}");
}

#[test]
fn a_missing_folder_is_an_error() {
    assert!(read(Path::new("nowhere")).unwrap_err().to_string().contains("nowhere: there is no such folder"));
}
