//! Tensors in bytes: little-endian elements; a text has its length before it, in 4 bytes.

use super::tensor::{Datatype, Element};
use crate::problem::Problem;

/// Calls `take` with the place and the value of each of `count` elements.
///
/// # Errors
/// 400 unless the bytes are exactly these elements, and errors of `take`.
pub(super) fn read(
    bytes: &[u8],
    input: &str,
    datatype: Datatype,
    count: usize,
    mut take: impl FnMut(usize, Element<'_>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let Some(size) = datatype.size() else { return read_texts(bytes, input, count, take) };
    if count.checked_mul(size) != Some(bytes.len()) {
        return Err(Problem::bad_request(format!(
            "input `{input}` has {} bytes of data, but its shape needs {count} elements of {size}",
            bytes.len()
        )));
    }
    for (at, bytes) in bytes.chunks_exact(size).enumerate() {
        let element = element(bytes, datatype)
            .ok_or_else(|| Problem::bad_request(format!("input `{input}`: element {at} is not {}", datatype.what())))?;
        take(at, element)?;
    }
    Ok(())
}

/// The element in exactly its bytes.
fn element(bytes: &[u8], datatype: Datatype) -> Option<Element<'static>> {
    let mut wide = [0; 16];
    wide.get_mut(..bytes.len())?.copy_from_slice(bytes);
    let unsigned = i128::from_le_bytes(wide);
    Some(match datatype {
        Datatype::Bool => Element::Bool(match bytes {
            [0] => false,
            [1] => true,
            _ => return None,
        }),
        Datatype::Uint(_) => Element::Integer(unsigned),
        Datatype::Int(size) => {
            let bits = 128 - 8 * size as u32;
            Element::Integer(unsigned << bits >> bits)
        }
        Datatype::Fp32 => Element::Short(f32::from_le_bytes(bytes.try_into().ok()?)),
        Datatype::Fp64 => Element::Number(f64::from_le_bytes(bytes.try_into().ok()?)),
        Datatype::Bytes => return None,
    })
}

fn read_texts(
    bytes: &[u8],
    input: &str,
    count: usize,
    mut take: impl FnMut(usize, Element<'_>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let wrong = |at: usize, what: &str| Err(Problem::bad_request(format!("input `{input}`: element {at} {what}")));
    let mut rest = bytes;
    for at in 0..count {
        let Some((length, after)) = rest.split_first_chunk() else {
            return wrong(at, "is missing: the data ends before it");
        };
        let Some((text, after)) = after.split_at_checked(u32::from_le_bytes(*length) as usize) else {
            return wrong(at, "is longer than the data");
        };
        let Ok(text) = std::str::from_utf8(text) else { return wrong(at, "is not UTF-8") };
        take(at, Element::Text(text))?;
        rest = after;
    }
    if !rest.is_empty() {
        return wrong(count, "is more than the shape holds");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8], datatype: Datatype, count: usize) -> Result<Vec<String>, String> {
        let mut found = vec![];
        let take = |at: usize, element: Element<'_>| {
            assert_eq!(at, found.len());
            element.with_text(|text| found.push(text.to_owned()));
            Ok(())
        };
        read(bytes, "x", datatype, count, take).map_err(|problem| problem.message().to_owned())?;
        Ok(found)
    }

    #[test]
    fn numbers_are_little_endian() {
        assert_eq!(all(&[1, 2, 255, 255], Datatype::Uint(2), 2).unwrap(), ["513", "65535"]);
        assert_eq!(all(&[1, 2, 255, 255], Datatype::Int(2), 2).unwrap(), ["513", "-1"]);
        assert_eq!(all(&0.1f32.to_le_bytes(), Datatype::Fp32, 1).unwrap(), ["0.1"]);
        assert_eq!(all(&[1, 0], Datatype::Bool, 2).unwrap(), ["true", "false"]);
        assert!(all(&[2], Datatype::Bool, 1).unwrap_err().contains("element 0 is not true or false"));
        assert!(all(&[0; 9], Datatype::Int(8), 1).unwrap_err().contains("9 bytes of data"));
        assert!(all(&[0; 8], Datatype::Int(8), usize::MAX).is_err());
    }

    #[test]
    fn texts_have_their_length_before_them() {
        assert_eq!(all(b"\x02\0\0\0ab\0\0\0\0", Datatype::Bytes, 2).unwrap(), ["ab", ""]);
        for (bytes, count, what) in [
            (&b"\x02\0\0\0a"[..], 1, "longer than the data"),
            (b"\xff\xff\xff\xffa", 1, "longer than the data"),
            (b"\x02\0\0", 1, "ends before it"),
            (b"\0\0\0\0", 2, "element 1 is missing"),
            (b"\0\0\0\0\0", 1, "more than the shape holds"),
            (b"\x01\0\0\0\xff", 1, "not UTF-8"),
        ] {
            assert!(all(bytes, Datatype::Bytes, count).unwrap_err().contains(what), "{bytes:?}");
        }
    }
}
