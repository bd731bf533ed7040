//! The numbers of a parameter, each row followed by its states.

#![allow(unsafe_code, reason = "several threads change a table without locks")]

use std::marker::PhantomData;

use fm_core::Result;
use fm_core::elements::floats;
use fm_core::large_pages::Numbers;
use fm_core::prefetch::{self, prefetch_line};
use tch::{Tensor, no_grad};

use super::rule::{Apply, Rule};

/// Length of a cache line in numbers.
const LINE: usize = prefetch::LINE / size_of::<f32>();

/// A parameter `[n, k]` and its states, in tensors and in a form for kernels.
pub struct Table {
    name: String,
    /// The parameter and its states, of the same shape.
    tensors: Vec<Tensor>,
    states: Vec<(&'static str, f32)>,
    /// Length of a row of the tensors, and of a row with zeros at its end.
    k: usize,
    width: usize,
    /// `[n, 1 + states, width]`, from the first epoch on.
    numbers: Option<Numbers>,
}

impl Table {
    /// A table for a parameter and its name, with its states at their initial values. A row has space for `width`
    /// numbers.
    ///
    /// # Errors
    /// [`fm_core::Error::Torch`] if memory is insufficient.
    pub fn new((name, parameter): (&str, &Tensor), width: usize, rule: Rule) -> Result<Table> {
        let (parameter, states) = (parameter.detach(), rule.states());
        let state = |&(_, first): &(&str, f32)| Ok(parameter.f_full_like(f64::from(first))?);
        let of_states = states.iter().map(state).collect::<Result<Vec<_>>>()?;
        let k = parameter.size().get(1).map_or(1, |&k| k as usize);
        let tensors = std::iter::once(parameter).chain(of_states).collect();
        Ok(Table { name: name.into(), tensors, states, k, width, numbers: None })
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

    /// n, the number of rows.
    pub fn num_rows(&self) -> usize {
        self.tensors[0].size()[0] as usize
    }

    /// `[n, 1 + states, width]`; empty before the first epoch.
    #[cfg(test)]
    pub fn numbers(&self) -> &[f32] {
        self.numbers.as_ref().map_or(&[], Numbers::as_slice)
    }

    /// `[n, 1 + states, width]`, for several threads.
    pub fn shared(&mut self) -> Shared<'_> {
        let numbers = self.numbers.as_mut().map_or(&mut [][..], Numbers::as_mut_slice);
        Shared { first: numbers.as_mut_ptr(), len: numbers.len(), table: PhantomData }
    }

    /// Reads the tensors.
    ///
    /// # Errors
    /// [`fm_core::Error::Shape`] for a tensor that is not a contiguous float32 tensor on the CPU.
    pub fn read(&mut self) -> Result<()> {
        let (k, width, parts) = (self.k, self.width, self.tensors.len());
        let numbers = match &mut self.numbers {
            Some(numbers) => numbers,
            none => {
                let numbers = none.insert(Numbers::zeros(self.tensors[0].numel() / k.max(1) * parts * width)?);
                // The zeros at the end of a row have states, too, which divide them.
                for row in numbers.as_mut_slice().chunks_exact_mut(parts * width) {
                    for (part, (_, first)) in row.chunks_exact_mut(width).skip(1).zip(&self.states) {
                        part.fill(*first);
                    }
                }
                numbers
            }
        };
        for (part, tensor) in self.tensors.iter().enumerate() {
            let rows = numbers.as_mut_slice().chunks_exact_mut(parts * width);
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
        let Some(numbers) = &self.numbers else { return Ok(()) };
        let mut part_of_rows = Vec::with_capacity(tensors[0].numel());
        for (part, tensor) in tensors.iter().enumerate() {
            part_of_rows.clear();
            for row in numbers.as_slice().chunks_exact(parts * width) {
                part_of_rows.extend_from_slice(&row[part * width..part * width + k]);
            }
            let from = Tensor::f_from_slice(&part_of_rows)?.f_view(tensor.size().as_slice())?;
            no_grad(|| tensor.shallow_clone().f_copy_(&from))?;
        }
        Ok(())
    }
}

/// The numbers of a table, which several threads may change at once. A number that one thread reads while another one
/// changes it has its value from before or after the change: float32 numbers are read and written as a whole on all
/// processors. One thread reads what it has written.
#[derive(Clone, Copy)]
pub struct Shared<'a> {
    first: *mut f32,
    len: usize,
    table: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer is valid for 'a, and nothing else uses the memory meanwhile. Threads race for its numbers on
// purpose; every bit pattern is a float32 number.
unsafe impl Send for Shared<'_> {}
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl Default for Shared<'_> {
    fn default() -> Self {
        Shared { first: std::ptr::dangling_mut(), len: 0, table: PhantomData }
    }
}

impl Shared<'_> {
    /// N numbers.
    ///
    /// # Panics
    /// If they are not in the table.
    #[inline(always)]
    pub fn get<const N: usize>(self, at: usize) -> [f32; N] {
        self.check(at, N);
        // SAFETY: the numbers are in the table.
        unsafe { self.at(at).read() }
    }

    /// Updates the N numbers at `at` by a gradient that depends on them. Each state follows `width` numbers after the one
    /// before it.
    ///
    /// # Panics
    /// If they are not in the table.
    #[inline(always)]
    pub fn update<const N: usize, R: Apply>(
        self,
        rule: R,
        at: usize,
        width: usize,
        gradient: impl FnOnce(&[f32; N]) -> [f32; N],
    ) {
        self.check(at, R::STATES * width + N);
        let place = |state: usize| self.at::<N>(at + state * width);
        // SAFETY: the last of the states is in the table.
        let read = |state: usize| unsafe { place(state).read() };
        // SAFETY: as above.
        let write = |state: usize, numbers: [f32; N]| unsafe { place(state).write(numbers) };
        let mut numbers = read(0);
        let mut states = [[0.0; N]; Rule::MAX_STATES];
        for (state, numbers) in states.iter_mut().enumerate().take(R::STATES) {
            *numbers = read(1 + state);
        }
        let g = gradient(&numbers);
        rule.apply(&mut numbers, &g, &mut states);
        write(0, numbers);
        for (state, numbers) in states.into_iter().enumerate().take(R::STATES) {
            write(1 + state, numbers);
        }
    }

    #[inline(always)]
    fn at<const N: usize>(self, at: usize) -> *mut [f32; N] {
        self.first.wrapping_add(at).cast()
    }

    #[inline(always)]
    fn check(self, at: usize, len: usize) {
        // Ids have 31 bits and widths fewer than 32, so that the sum does not overflow.
        if at + len > self.len {
            outside();
        }
    }

    /// Starts to load a row of `width` numbers and their states.
    #[inline(always)]
    pub fn prefetch<R: Apply>(self, row: u32, width: usize) {
        let len = width * (1 + R::STATES);
        let first = self.first.wrapping_add(row as usize * len);
        for at in (0..len).step_by(LINE) {
            prefetch_line(first.wrapping_add(at));
        }
        if !len.is_multiple_of(LINE) {
            // A row that does not begin with a cache line may end in another one.
            prefetch_line(first.wrapping_add(len - 1));
        }
    }
}

/// Without arguments, so that the hot path keeps its numbers in registers.
#[cold]
fn outside() -> ! {
    panic!("numbers outside of a table");
}
