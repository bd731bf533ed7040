//! What an archive's pickles say of its tensors: the size of each storage, and that tensors lie within theirs. Nothing
//! is built or called: objects other than tensors are passed over.
//!
//! Opcodes are those that PyTorch writes (`torch/csrc/jit/serialization/pickler.cpp`).

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// Storages by the names of their records.
pub(super) type Storages = BTreeMap<String, Storage>;

/// The memory of tensors, as a record holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Storage {
    pub kind: Kind,
    /// Number of elements.
    pub len: u64,
}

impl Storage {
    /// Number of bytes; `None` if they are more than can be.
    pub fn bytes(self) -> Option<u64> {
        self.len.checked_mul(self.kind.size())
    }
}

/// The type of a storage's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Integers of this many bytes.
    Integer(u64),
    Half,
    BFloat16,
    Float,
    Double,
}

impl Kind {
    fn of(class: &str) -> Option<Kind> {
        Some(match class.strip_prefix("torch.")?.strip_suffix("Storage")? {
            "Byte" | "Char" | "Bool" => Kind::Integer(1),
            "Short" => Kind::Integer(2),
            "Int" => Kind::Integer(4),
            "Long" => Kind::Integer(8),
            "Half" => Kind::Half,
            "BFloat16" => Kind::BFloat16,
            "Float" => Kind::Float,
            "Double" => Kind::Double,
            _ => return None,
        })
    }

    fn size(self) -> u64 {
        match self {
            Kind::Integer(size) => size,
            Kind::Half | Kind::BFloat16 => 2,
            Kind::Float => 4,
            Kind::Double => 8,
        }
    }

    /// Whether all numbers are finite: not all bits of an exponent are set.
    pub fn is_finite(self, bytes: &[u8]) -> bool {
        let of_two = |exponent: u16| {
            bytes.as_chunks::<2>().0.iter().all(|bytes| u16::from_le_bytes(*bytes) & exponent != exponent)
        };
        match self {
            Kind::Integer(_) => true,
            Kind::Half => of_two(0x7c00),
            Kind::BFloat16 => of_two(0x7f80),
            Kind::Float => bytes.as_chunks::<4>().0.iter().all(|bytes| f32::from_le_bytes(*bytes).is_finite()),
            Kind::Double => bytes.as_chunks::<8>().0.iter().all(|bytes| f64::from_le_bytes(*bytes).is_finite()),
        }
    }
}

/// A value on the stack, as far as it matters here.
#[derive(Clone, Debug)]
enum Value {
    Integer(i64),
    Text(Rc<str>),
    /// A class or a function.
    Name(Rc<str>),
    Tuple(Rc<[Value]>),
    Storage(Storage),
    Other,
}

/// The storages that a pickle refers to.
///
/// # Errors
/// What is wrong with it, as the rest of a sentence.
pub(super) fn storages(bytes: &[u8]) -> Result<Storages, String> {
    let mut reader = Reader { bytes, stack: vec![], marks: vec![], memo: HashMap::new(), storages: Storages::new() };
    while reader.step()? {}
    match reader.bytes {
        [] => Ok(reader.storages),
        _ => Err("goes on after its end".into()),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: HashMap<u32, Value>,
    storages: Storages,
}

impl Reader<'_> {
    fn take(&mut self, length: usize) -> Result<&[u8], String> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or("is cut short")?;
        self.bytes = rest;
        Ok(taken)
    }

    /// A little-endian number.
    fn number<const SIZE: usize>(&mut self) -> Result<u64, String> {
        let mut number = [0; 8];
        number[..SIZE].copy_from_slice(self.take(SIZE)?);
        Ok(u64::from_le_bytes(number))
    }

    fn line(&mut self) -> Result<String, String> {
        let length = self.bytes.iter().position(|&byte| byte == b'\n').ok_or("is cut short")?;
        let line = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.take(1)?;
        Ok(line)
    }

    fn text(&mut self, length: u64) -> Result<(), String> {
        let bytes = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        let text = std::str::from_utf8(bytes).map_err(|_| "holds text that is not UTF-8")?;
        let text = Value::Text(text.into());
        self.stack.push(text);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value, String> {
        // What is below a mark belongs to another value.
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("takes values that are not there".into());
        }
        Ok(self.stack.pop().unwrap_or(Value::Other))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.marks.pop().ok_or("takes values that are not there")?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, length: usize) -> Result<(), String> {
        let mut values = (0..length).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        values.reverse();
        self.stack.push(Value::Tuple(values.into()));
        Ok(())
    }

    fn keep(&mut self, at: u64) -> Result<(), String> {
        let value = self.stack.last().ok_or("keeps a value that is not there")?.clone();
        self.memo.insert(at as u32, value);
        Ok(())
    }

    fn recall(&mut self, at: u64) -> Result<(), String> {
        let value = self.memo.get(&(at as u32)).ok_or("recalls a value that it did not keep")?.clone();
        self.stack.push(value);
        Ok(())
    }

    /// Does one operation; `false` at the end.
    fn step(&mut self) -> Result<bool, String> {
        match self.take(1)?[0] {
            b'.' => return Ok(false),
            // The version.
            0x80 => {
                self.take(1)?;
            }
            b'(' => self.marks.push(self.stack.len()),
            b'q' => {
                let at = self.number::<1>()?;
                self.keep(at)?;
            }
            b'r' => {
                let at = self.number::<4>()?;
                self.keep(at)?;
            }
            b'h' => {
                let at = self.number::<1>()?;
                self.recall(at)?;
            }
            b'j' => {
                let at = self.number::<4>()?;
                self.recall(at)?;
            }
            b'X' => {
                let length = self.number::<4>()?;
                self.text(length)?;
            }
            0x8d => {
                let length = self.number::<8>()?;
                self.text(length)?;
            }
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            // Elements of a list or a dictionary, and the state of an object.
            b'e' | b'u' => {
                self.pop_to_mark()?;
            }
            b'a' | b'b' => {
                self.pop()?;
            }
            b's' => {
                self.pop()?;
                self.pop()?;
            }
            operation => {
                let value = self.value(operation)?;
                self.stack.push(value);
            }
        }
        Ok(true)
    }

    /// Does an operation that puts a value on the stack, and returns the value.
    fn value(&mut self, operation: u8) -> Result<Value, String> {
        Ok(match operation {
            b't' => Value::Tuple(self.pop_to_mark()?.into()),
            b')' => Value::Tuple([].into()),
            b']' | b'}' | b'N' | 0x88 | 0x89 => Value::Other,
            b'G' => {
                self.take(8)?;
                Value::Other
            }
            b'J' => Value::Integer(i64::from(self.number::<4>()? as u32 as i32)),
            b'K' => Value::Integer(self.number::<1>()? as i64),
            b'M' => Value::Integer(self.number::<2>()? as i64),
            0x8a => match self.number::<1>()? {
                8 => Value::Integer(self.number::<8>()? as i64),
                length => {
                    self.take(length as usize)?;
                    Value::Other
                }
            },
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                Value::Name(format!("{module}.{name}").into())
            }
            b'Q' => {
                let id = self.pop()?;
                Value::Storage(self.storage(&id)?)
            }
            0x81 => {
                self.pop()?;
                self.pop()?;
                Value::Other
            }
            b'R' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                check_call(&function, &arguments)?;
                Value::Other
            }
            other => return Err(format!("has the unknown operation {other:#04x}")),
        })
    }

    /// A reference to a storage: `("storage", class, key, device, length)`.
    fn storage(&mut self, id: &Value) -> Result<Storage, String> {
        let unknown = || "refers to a storage in an unknown way".to_owned();
        let Value::Tuple(id) = id else { return Err(unknown()) };
        let [Value::Text(what), Value::Name(class), Value::Text(key), Value::Text(_), Value::Integer(len)] = &id[..]
        else {
            return Err(unknown());
        };
        let kind = Kind::of(class).ok_or_else(|| format!("refers to a {class}"))?;
        let len = u64::try_from(*len).map_err(|_| unknown())?;
        let storage = Storage { kind, len };
        if &**what != "storage" || self.storages.insert(key.to_string(), storage).is_some_and(|other| other != storage)
        {
            return Err(unknown());
        }
        Ok(storage)
    }
}

/// Checks that a tensor lies within its storage, if a call makes one.
fn check_call(function: &Value, arguments: &Value) -> Result<(), String> {
    let (Value::Name(function), Value::Tuple(arguments)) = (function, arguments) else {
        return Err("calls what is no function".into());
    };
    let Some(Value::Storage(storage)) = arguments.first() else { return Ok(()) };
    if !function.starts_with("torch._utils._rebuild_tensor") {
        return Err(format!("passes a storage to {function}"));
    }
    let [_, Value::Integer(offset), Value::Tuple(sizes), Value::Tuple(strides), ..] = &arguments[..] else {
        return Err("makes a tensor in an unknown way".into());
    };
    match last_element(*offset, sizes, strides) {
        Some(end) if end <= storage.len => Ok(()),
        _ => Err("makes a tensor that lies beyond its storage".into()),
    }
}

/// The number of elements up to the last one of a tensor; `None` if there are more than can be, or negative sizes.
fn last_element(offset: i64, sizes: &[Value], strides: &[Value]) -> Option<u64> {
    let number = |value: &Value| match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    let sizes = sizes.iter().map(number).collect::<Option<Vec<_>>>()?;
    let strides = strides.iter().map(number).collect::<Option<Vec<_>>>()?;
    if sizes.len() != strides.len() {
        return None;
    }
    if sizes.contains(&0) {
        return Some(0);
    }
    let mut end = u64::try_from(offset).ok()?.checked_add(1)?;
    for (size, stride) in sizes.iter().zip(strides) {
        end = end.checked_add((size - 1).checked_mul(stride)?)?;
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tensor as PyTorch writes it.
    fn tensor(class: &str, len: u8, offset: u8, size: u8, stride: u8) -> Vec<u8> {
        let text = |text: &str| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
        let storage =
            [&b"("[..], &text("storage"), format!("ctorch\n{class}\n").as_bytes(), &text("7"), &text("cpu")].concat();
        [
            &b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n("[..],
            &storage,
            &[b'K', len, b't', b'q', 0, b'Q', b'K', offset, b'K', size, 0x85, b'K', stride, 0x85, 0x89],
            b"ccollections\nOrderedDict\n)RtR.",
        ]
        .concat()
    }

    #[test]
    fn storages_are_found_with_their_sizes() {
        let found = storages(&tensor("FloatStorage", 12, 2, 5, 2)).unwrap();
        assert_eq!(found, Storages::from([("7".into(), Storage { kind: Kind::Float, len: 12 })]));
        assert_eq!(found["7"].bytes(), Some(48));
        assert_eq!(storages(&tensor("BFloat16Storage", 12, 0, 0, 200)).unwrap()["7"].bytes(), Some(24));
    }

    #[test]
    fn a_tensor_beyond_its_storage_and_foreign_classes_are_refused() {
        for (offset, size, stride) in [(0, 13, 1), (1, 12, 1), (12, 1, 1), (0, 2, 12)] {
            let error = storages(&tensor("FloatStorage", 12, offset, size, stride)).unwrap_err();
            assert_eq!(error, "makes a tensor that lies beyond its storage");
        }
        assert!(storages(&tensor("ComplexFloatStorage", 12, 0, 1, 1)).is_err());
    }

    #[test]
    fn no_change_of_a_byte_makes_it_panic_or_find_a_tensor_beyond_its_storage() {
        let whole = tensor("FloatStorage", 12, 2, 5, 2);
        for length in 0..whole.len() {
            assert!(storages(&whole[..length]).is_err());
        }
        for at in 0..whole.len() {
            for byte in 0..=255 {
                let mut changed = whole.clone();
                changed[at] = byte;
                // Whatever it finds, it returns.
                let _ = storages(&changed);
            }
        }
    }

    #[test]
    fn infinite_numbers_and_nan_are_found_in_every_type() {
        let inf = f32::INFINITY.to_le_bytes();
        assert!(Kind::Float.is_finite(&f32::MAX.to_le_bytes()) && !Kind::Float.is_finite(&inf));
        assert!(Kind::BFloat16.is_finite(&[0x7f, 0x7f]) && !Kind::BFloat16.is_finite(&inf[2..]));
        assert!(Kind::Half.is_finite(&[0xff, 0x7b]) && !Kind::Half.is_finite(&[0, 0xfc]));
        assert!(Kind::Double.is_finite(&f64::MIN.to_le_bytes()) && !Kind::Double.is_finite(&f64::NAN.to_le_bytes()));
        assert!(Kind::Integer(1).is_finite(&[255]));
    }
}
