//! The types of the metadata of a Parquet file. The library that reads it goes by the ids of fields alone: where another
//! type stands, it reads some bytes as the length of a list, and reserves memory for it, which can end the process.
//!
//! Source: <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>.

use super::nesting::{Thrift, kind};

/// The type of a value.
enum Type {
    /// An integer of 8 bits.
    Byte,
    /// Any other integer.
    Int,
    Bytes,
    Flag,
    List(&'static Type),
    Struct(Fields),
}

/// The types of the fields of a struct, by id. Fields with other ids may have any type.
type Fields = &'static [(i64, Type)];

use Type::{Byte, Bytes, Flag, Int, List, Struct};

const FILE: Fields = &[
    (1, Int),
    (2, List(&Struct(COLUMN))),
    (3, Int),
    (4, List(&Struct(ROW_GROUP))),
    (5, List(&Struct(&[(1, Bytes), (2, Bytes)]))),
    (6, Bytes),
    (7, List(&Struct(&[(1, EMPTY), (2, EMPTY)]))),
];

const EMPTY: Type = Struct(&[]);

const COLUMN: Fields = &[
    (1, Int),
    (2, Int),
    (3, Int),
    (4, Bytes),
    (5, Int),
    (6, Int),
    (7, Int),
    (8, Int),
    (9, Int),
    (10, Struct(LOGICAL_TYPE)),
];

const LOGICAL_TYPE: Fields = &[
    (1, EMPTY),
    (2, EMPTY),
    (3, EMPTY),
    (4, EMPTY),
    (5, Struct(&[(1, Int), (2, Int)])),
    (6, EMPTY),
    (7, TIME),
    (8, TIME),
    (10, Struct(&[(1, Byte), (2, Flag)])),
    (11, EMPTY),
    (12, EMPTY),
    (13, EMPTY),
    (14, EMPTY),
    (15, EMPTY),
];

const TIME: Type = Struct(&[(1, Flag), (2, Struct(&[(1, EMPTY), (2, EMPTY), (3, EMPTY)]))]);

const ROW_GROUP: Fields = &[
    (1, List(&Struct(COLUMN_CHUNK))),
    (2, Int),
    (3, Int),
    (4, List(&Struct(&[(1, Int), (2, Flag), (3, Flag)]))),
    (5, Int),
    (6, Int),
    (7, Int),
];

const COLUMN_CHUNK: Fields =
    &[(1, Bytes), (2, Int), (3, Struct(COLUMN_METADATA)), (4, Int), (5, Int), (6, Int), (7, Int)];

const COLUMN_METADATA: Fields = &[
    (1, Int),
    (2, List(&Int)),
    (3, List(&Bytes)),
    (4, Int),
    (5, Int),
    (6, Int),
    (7, Int),
    (9, Int),
    (10, Int),
    (11, Int),
    (12, Struct(STATISTICS)),
    (14, Int),
    (15, Int),
];

const STATISTICS: Fields = &[(1, Bytes), (2, Bytes), (3, Int), (4, Int), (5, Bytes), (6, Bytes), (7, Flag), (8, Flag)];

/// Reads the metadata of a file. `None` if it is damaged or has a value of another type.
pub(super) fn check(mut metadata: Thrift<'_>) -> Option<()> {
    read_fields(&mut metadata, FILE)
}

fn read_fields(thrift: &mut Thrift<'_>, fields: Fields) -> Option<()> {
    thrift.fields(|thrift, id, found| match fields.iter().find(|(known, _)| *known == id) {
        Some((_, expected)) => read(thrift, expected, found),
        None => thrift.skip_value(found),
    })
}

fn read(thrift: &mut Thrift<'_>, expected: &Type, found: u8) -> Option<()> {
    match (expected, found) {
        (Byte, kind::BYTE) | (Int, kind::I16..=kind::I64) | (Bytes, kind::BINARY) => thrift.skip_value(found),
        (Flag, kind::TRUE | kind::FALSE) => Some(()),
        (List(of), kind::LIST) => thrift.items(|thrift, found| read(thrift, of, found)),
        (Struct(fields), kind::STRUCT) => read_fields(thrift, fields),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_another_type_is_damage() {
        // Version 1, no columns, no rows, no row groups.
        let metadata = [0x15, 2, 0x19, 0x0C, 0x16, 0, 0x19, 0x0C, 0];
        assert_eq!(check(Thrift(&metadata)), Some(()));
        for at in [0, 2, 4, 6] {
            let mut other = metadata;
            // Bytes in its place.
            other[at] = other[at] & 0xf0 | kind::BINARY;
            assert_eq!(check(Thrift(&other)), None, "the value at {at}");
        }
        // A list that is longer than the file.
        let long = [0x15, 2, 0x19, 0xFC, 0xFF, 0xFF, 0xFF, 0xFF, 0x07, 0x16, 0, 0x19, 0x0C, 0];
        assert_eq!(check(Thrift(&long)), None);
    }
}
