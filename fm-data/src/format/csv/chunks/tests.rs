use std::io::Cursor;

use proptest::prelude::*;

use super::super::super::bad_rows::OnBadRow;
use super::super::super::selection::{Needed, Selection};
use super::*;

type Cells = Vec<Vec<Option<String>>>;

const WHOLE: ChunkSize = ChunkSize { rows: usize::MAX, bytes: usize::MAX };

/// The columns' cells, with their names, and the rows of each chunk.
fn read(bytes: &[u8], size: ChunkSize, block: usize) -> Result<(Cells, Vec<usize>)> {
    let mut chunks = open(bytes, ReadOptions { size, ..ReadOptions::default() }, block)?;
    let (mut cells, mut heights) = (Cells::new(), Vec::new());
    while let Some(chunk) = chunks.next_chunk()? {
        heights.push(chunk.height());
        cells.resize(chunk.width(), Vec::new());
        for (cells, column) in cells.iter_mut().zip(chunk.columns()) {
            if cells.is_empty() {
                cells.push(Some(column.name().to_string()));
            }
            cells.extend(column.str().unwrap().iter().map(|cell| cell.map(str::to_owned)));
        }
    }
    assert_eq!(chunks.bytes_read(), bytes.len() as u64);
    Ok((cells, heights))
}

fn open(bytes: &[u8], options: ReadOptions, block: usize) -> Result<CsvChunks> {
    CsvChunks::in_blocks(Input::stream(Cursor::new(bytes.to_vec()), "t.csv"), b',', &options, block)
}

fn rows(rows: usize) -> ChunkSize {
    ChunkSize { rows, ..WHOLE }
}

#[test]
fn chunks_end_after_a_record_and_not_inside_a_quoted_cell() {
    let text = "a,b\r\n\"x\n\"\"1,\",1\r\n,é\r\n\"\",\"\n\n\"\r\n4,4\r\n\r\n\n".as_bytes();
    let whole = read(text, WHOLE, BLOCK).unwrap().0;
    let cell = |text: &str| Some(text.to_owned());
    assert_eq!(whole[0], [cell("a"), cell("x\n\"1,"), None, cell(""), cell("4")]);
    assert_eq!(whole[1], [cell("b"), cell("1"), cell("é"), cell("\n\n"), cell("4")]);
    for block in 1..text.len() + 2 {
        assert_eq!(read(text, rows(3), block).unwrap(), (whole.clone(), vec![3, 1]), "block {block}");
        let bytes = ChunkSize { bytes: 9, ..WHOLE };
        assert_eq!(read(text, bytes, block).unwrap(), (whole.clone(), vec![1, 2, 1]), "block {block}");
    }
}

#[test]
fn a_table_without_rows_is_one_chunk() {
    for text in ["a,b", "a,b\n", "\u{FEFF}a,b\r\n\r\n"] {
        let (cells, heights) = read(text.as_bytes(), rows(1), 1).unwrap();
        assert_eq!((cells.len(), heights), (2, vec![0]), "{text:?}");
    }
}

#[test]
fn line_ends_alone_are_an_empty_file_wherever_a_block_ends() {
    for block in [1, 2, 3, 4, BLOCK] {
        let error = |text: &str| read(text.as_bytes(), rows(1), block).unwrap_err().to_string();
        for text in ["", "\n", "\n\n\n\n\n\n", "\u{FEFF}\r\n\r\n"] {
            assert_eq!(error(text), "t.csv: is empty: expected a header line and rows", "{text:?}, {block}");
        }
        assert_eq!(error("\n\n\n\n\na,b\n"), "t.csv, line 1: is blank: expected the names of the columns");
    }
}

#[test]
fn a_fault_in_a_late_row_has_its_line() {
    let before = "1,\"x\ny\"\n".repeat(1000);
    for (fault, says) in [
        ("1\n", "line 2002: has 1 cells, but the header has 2"),
        ("\n2,2", "line 2002: is blank, but the header has 2"),
        ("1,x\"\n", "line 2002: has a quote inside a cell"),
        ("\"1,x\n2,2\n", "line 2002: opens a quote that never closes"),
        ("\"1\"1,x\n2,2\n", "line 2002: has text after a closing quote"),
    ] {
        let text = format!("a,b\n{before}{fault}");
        for block in [7, 100, BLOCK] {
            let error = read(text.as_bytes(), rows(100), block).unwrap_err().to_string();
            assert!(error.starts_with(&format!("t.csv, {says}")), "{error}");
        }
    }
    let text = [b"a,b\n", before.as_bytes(), b"1,\xFF\n"].concat();
    for block in [7, 100, BLOCK] {
        let error = read(&text, rows(100), block).unwrap_err().to_string();
        assert!(error.starts_with("t.csv, line 2002: is not UTF-8"), "{error}");
    }
}

#[test]
fn characters_that_a_block_cuts_are_read_correctly() {
    let text = "ä,b\n日本,é\n𝄞,x\n";
    let whole = read(text.as_bytes(), WHOLE, BLOCK).unwrap().0;
    for block in 1..10 {
        assert_eq!(read(text.as_bytes(), rows(1), block).unwrap().0, whole);
    }
    let cut = "ä,b\n日本,é\n".as_bytes();
    let error = read(&cut[..cut.len() - 2], rows(1), 2).unwrap_err().to_string();
    assert!(error.starts_with("t.csv, line 2: is not UTF-8 in column `b`"), "{error}");
}

proptest! {
    #[test]
    fn any_bytes_give_the_same_rows_or_error_in_chunks_of_any_size(
        bytes in prop::collection::vec(prop::sample::select(b"a\",,\n\n\r1".to_vec()), 0..60),
        size in 1usize..5,
        block in 1usize..20,
    ) {
        let text = |read: Result<(Cells, Vec<usize>)>| read.map(|(cells, _)| cells).map_err(|error| error.to_string());
        let whole = text(read(&bytes, WHOLE, BLOCK));
        prop_assert_eq!(&text(read(&bytes, rows(size), block)), &whole);
        prop_assert_eq!(&text(read(&bytes, ChunkSize { bytes: 3 * size, ..WHOLE }, block)), &whole);
    }
}

/// The texts of all rows of the needed columns.
fn needed(bytes: &[u8], names: &[&str]) -> Result<Vec<Vec<Option<String>>>> {
    let columns = Selection { needed: names.iter().map(|&name| Needed::one(name)).collect(), others: false };
    let mut chunks = open(bytes, ReadOptions { columns, ..ReadOptions::default() }, BLOCK)?;
    let table = chunks.next_chunk()?.unwrap();
    assert_eq!(table.get_column_names(), names);
    let column = |column: &Column| column.str().unwrap().iter().map(|cell| cell.map(str::to_owned)).collect();
    Ok(table.columns().iter().map(column).collect())
}

#[test]
fn columns_that_are_not_needed_block_nothing() {
    // Two columns of one name, two without a name, and one that is not UTF-8.
    let bytes = b",x,user,x,item,\n0,\xFF,ann,1,7,\n1,\xFE,bob,2,,\n";
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(needed(bytes, &["item", "user"]).unwrap(), [[text("7"), None], [text("ann"), text("bob")]]);
    let error = needed(bytes, &["x"]).unwrap_err().to_string();
    assert_eq!(error, "t.csv, line 1: the column name `x` occurs twice");
    let error = needed(b"a,b\n1,2\n\xFF,3\n", &["a"]).unwrap_err().to_string();
    assert_eq!(error, "t.csv, line 3: is not UTF-8 in column `a`: convert the file, for example with iconv");
}

#[test]
fn separators_and_line_ends_are_those_of_the_header() {
    let expected = needed(b"a,b\n1,x\n,y\n", &["a", "b"]).unwrap();
    for other in ["a;b\n1;x\n;y\n", "a\tb\r\n1\tx\r\n\ty", "a|b\r1|x\r|y\r", "\u{FEFF}\"a\";b\r1;x\r;y"] {
        assert_eq!(needed(other.as_bytes(), &["a", "b"]).unwrap(), expected, "{other:?}");
    }
    for block in 1..20 {
        let read = |text: &str| read(text.as_bytes(), rows(1), block).unwrap();
        assert_eq!(read("a;b\r1;x\r;\"y\r\"\r\r"), read("a,b\r\n1,x\r\n,\"y\r\"\r\n\r\n"), "block {block}");
    }
}

#[test]
fn wide_tables_and_long_cells_take_time_in_proportion_to_their_bytes() {
    // Readers that compare each name with all others, or scan a cell again for each block, take minutes for these.
    let begin = std::time::Instant::now();
    let wide = |cells: usize| (0..cells).map(|cell| format!("name{cell}")).collect::<Vec<_>>().join(",");
    let text = format!("{}\n{}\n", wide(200_000), wide(200_000));
    assert_eq!(needed(text.as_bytes(), &["name7", "name199999"]).unwrap().len(), 2);
    let long = format!("a,b\n1,\"{}\"\n2,{}\n", "x\"\"\n".repeat(2 << 20), "y".repeat(8 << 20));
    let mut chunks = open(long.as_bytes(), ReadOptions::default(), 1 << 10).unwrap();
    let table = chunks.next_chunk().unwrap().unwrap();
    let lengths: Vec<usize> = table.column("b").unwrap().str().unwrap().iter().flatten().map(str::len).collect();
    assert_eq!(lengths, [6 << 20, 8 << 20]);
    assert!(begin.elapsed().as_secs() < 120, "{:?}", begin.elapsed());
}

#[test]
fn a_record_has_a_maximum_length() {
    for record in ["\"open", "closed"] {
        let text = format!("a\n{record}{}\n1\n", "x".repeat(1 << 20));
        for block in [100, BLOCK, 4 * BLOCK] {
            let mut chunks = open(text.as_bytes(), ReadOptions::default(), block).unwrap();
            chunks.longest = 1 << 20;
            let error = chunks.next_chunk().unwrap_err().to_string();
            assert_eq!(error, "t.csv, line 2: a record of more than 1 MiB: is a quote left open?");
        }
    }
}

#[test]
fn skipped_rows_are_the_same_wherever_a_block_or_a_chunk_ends() {
    let text = "a,b\r\n1,1\r\nx\r\n2,\"2\r\n\"\r\n3,3\"\r\n\"4\"4,4\r\n\r\n5,5\r\n6,\"6,\n7,7,7\n\"8,8\n9,9".as_bytes();
    // The quote of line 10 closes on line 12, where text follows it; the next is stray, and line 13 is whole.
    let bad = [3, 6, 7, 8, 10, 11, 12].map(|line| format!("t.csv, line {line}: "));
    for block in (1..text.len() + 2).chain([BLOCK]) {
        for size in [1, 2, 100] {
            let bad_rows = BadRows::new(OnBadRow::Skip);
            let options = ReadOptions { size: rows(size), bad_rows: bad_rows.clone(), ..ReadOptions::default() };
            let mut chunks = open(text, options, block).unwrap();
            let mut cells = vec![];
            while let Some(chunk) = chunks.next_chunk().unwrap() {
                assert!(chunk.height() <= size);
                cells.extend(chunk.column("a").unwrap().str().unwrap().iter().map(|cell| cell.unwrap().to_owned()));
            }
            assert_eq!(cells.concat(), "1259", "block {block}, {size} rows");
            let skipped = bad_rows.finish(Path::new("t.csv"), usize::MAX / 2).unwrap().warning().unwrap();
            assert!(skipped.starts_with("left out 7 of "), "block {block}: {skipped}");
            assert!(bad[..3].iter().all(|place| skipped.contains(place)), "block {block}: {skipped}");
        }
    }
}

#[test]
fn a_record_that_is_too_long_is_skipped_to_the_end_of_its_line() {
    let long = "x".repeat(3000);
    for (record, lines) in
        [(long.clone(), 1), (format!("1,\"{long}"), 1), (format!("1,\"{}\"", "x\n".repeat(900)), 901)]
    {
        let text = format!("a,b\n1,1\n{record}\n2,2\n");
        for block in [7, 100, BLOCK] {
            let bad_rows = BadRows::new(OnBadRow::Skip);
            let options = ReadOptions { bad_rows: bad_rows.clone(), ..ReadOptions::default() };
            let mut chunks = open(text.as_bytes(), options, block).unwrap();
            chunks.longest = 1000;
            let table = chunks.next_chunk().unwrap().unwrap();
            let column: Vec<_> = table.column("a").unwrap().str().unwrap().iter().flatten().collect();
            assert_eq!(column, ["1", "2"], "block {block}");
            let skipped = bad_rows.finish(Path::new("t.csv"), 10_000).unwrap().warning().unwrap();
            assert!(skipped.starts_with(&format!("left out {lines} of ")), "{skipped}");
        }
    }
}
