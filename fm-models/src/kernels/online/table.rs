//! The numbers of a parameter, each row followed by its states.

use fm_core::Result;
use fm_core::elements::floats;
use tch::{Tensor, no_grad};

/// The size of a cache line in bytes.
const LINE: usize = 64;

/// A parameter `[n, k]` and its states, in tensors and in a form for kernels.
pub struct Table {
    name: String,
    /// The parameter and its states, of the same shape.
    tensors: Vec<Tensor>,
    states: Vec<(&'static str, f32)>,
    /// Length of a row of the tensors, and of a row with zeros at its end.
    k: usize,
    width: usize,
    /// `[n, 1 + states, width]`, after `offset` numbers.
    numbers: Vec<f32>,
    /// Where the first cache line begins.
    offset: usize,
}

impl Table {
    /// A table for a parameter, with its states at their initial values. A row has space for `width` numbers.
    ///
    /// # Errors
    /// [`fm_core::Error::Torch`] if memory is insufficient.
    pub fn new(name: &str, parameter: &Tensor, width: usize, states: Vec<(&'static str, f32)>) -> Result<Table> {
        let parameter = parameter.detach();
        let state = |&(_, first): &(&str, f32)| Ok(parameter.f_full_like(f64::from(first))?);
        let of_states = states.iter().map(state).collect::<Result<Vec<_>>>()?;
        let k = parameter.size().get(1).map_or(1, |&k| k as usize);
        let tensors = std::iter::once(parameter).chain(of_states).collect();
        Ok(Table { name: name.into(), tensors, states, k, width, numbers: vec![], offset: 0 })
    }

    /// The length of a row with zeros at its end.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The states by name.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let tensors = self.states.iter().zip(&self.tensors[1..]);
        tensors.map(|((state, _), tensor)| (format!("{}/{state}", self.name), tensor.shallow_clone())).collect()
    }

    /// `[n, 1 + states, width]`
    pub fn numbers_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[self.offset..]
    }

    /// Reads the tensors.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for a tensor that is not a contiguous float32 tensor on the CPU.
    pub fn read(&mut self) -> Result<()> {
        let Table { tensors, states, k, width, .. } = self;
        let (k, width, parts) = (*k, *width, tensors.len());
        let total = tensors[0].numel() / k.max(1) * parts * width;
        if self.numbers.is_empty() {
            self.numbers = vec![0.0; total + LINE / size_of::<f32>()];
            let offset = self.numbers.as_ptr().align_offset(LINE);
            self.offset = offset.min(LINE / size_of::<f32>());
            self.numbers.truncate(self.offset + total);
            // The zeros at the end of a row have states, too, which divide them.
            for row in self.numbers[self.offset..].chunks_exact_mut(parts * width) {
                for (part, (_, first)) in row.chunks_exact_mut(width).skip(1).zip(states.iter()) {
                    part.fill(*first);
                }
            }
        }
        for (part, tensor) in tensors.iter().enumerate() {
            let rows = self.numbers[self.offset..].chunks_exact_mut(parts * width);
            for (row, from) in rows.zip(floats(tensor)?.chunks_exact(k)) {
                row[part * width..part * width + k].copy_from_slice(from);
            }
        }
        Ok(())
    }

    /// Writes the tensors.
    ///
    /// # Errors
    /// [`fm_core::Error::Torch`] if libtorch fails.
    pub fn write(&self) -> Result<()> {
        let Table { tensors, k, width, .. } = self;
        let parts = tensors.len();
        // Before the first epoch, the tensors are all there is.
        if self.numbers.is_empty() {
            return Ok(());
        }
        let mut part_of_rows = Vec::with_capacity(tensors[0].numel());
        for (part, tensor) in tensors.iter().enumerate() {
            part_of_rows.clear();
            for row in self.numbers[self.offset..].chunks_exact(parts * width) {
                part_of_rows.extend_from_slice(&row[part * width..part * width + k]);
            }
            let from = Tensor::f_from_slice(&part_of_rows)?.f_view(tensor.size().as_slice())?;
            no_grad(|| tensor.shallow_clone().f_copy_(&from))?;
        }
        Ok(())
    }
}
