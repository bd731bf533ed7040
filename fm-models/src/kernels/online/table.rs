//! The numbers of a parameter, each row followed by its states.

#![allow(unsafe_code, reason = "several threads change a table without locks")]

use std::marker::PhantomData;
use std::ops::Range;

use fm_core::Result;
use fm_core::elements::floats;
use fm_core::large_pages::Numbers;
use fm_core::prefetch::{self, prefetch_line};
use tch::{Tensor, no_grad};

use super::LANES;
use super::number::Number;
use super::rule::{Apply, Rule};

/// Length of a cache line in numbers.
const LINE: usize = prefetch::LINE / size_of::<f32>();

/// A parameter `[n, k]` and its states, in tensors and in a form for kernels.
pub struct Table {
    name: String,
    /// The parameter and its states, of the same shape.
    tensors: Vec<Tensor>,
    states: Vec<(&'static str, f32)>,
    /// Number of vectors of a row.
    vectors: usize,
    /// Length of a vector in the tensors, and of a zero-padded one.
    k: usize,
    padded: usize,
    /// `[n, 1 + states, width]`, from the first epoch on.
    numbers: Option<Numbers>,
}

impl Table {
    /// A table for a parameter `[n, vectors · k]` and its name, with its states at their initial values. Each vector is
    /// zero-padded to `padded` numbers, and a row of more than one number to a multiple of eight.
    ///
    /// # Errors
    /// [`fm_core::Error::Torch`] if memory is insufficient.
    pub fn new((name, parameter): (&str, &Tensor), vectors: usize, padded: usize, rule: Rule) -> Result<Table> {
        let (parameter, states) = (parameter.detach(), rule.states());
        let state = |&(_, first): &(&str, f32)| Ok(parameter.f_full_like(f64::from(first))?);
        let of_states = states.iter().map(state).collect::<Result<Vec<_>>>()?;
        let k = parameter.size().get(1).map_or(1, |&k| k as usize) / vectors.max(1);
        let tensors = std::iter::once(parameter).chain(of_states).collect();
        Ok(Table { name: name.into(), tensors, states, vectors, k, padded, numbers: None })
    }

    /// The length of a zero-padded row.
    pub fn width(&self) -> usize {
        match self.vectors * self.padded {
            1 => 1,
            several => several.next_multiple_of(LANES),
        }
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
        let (width, parts, vectors) = (self.width(), self.tensors.len(), self.vectors());
        let numbers = match &mut self.numbers {
            Some(numbers) => numbers,
            none => {
                let numbers = none.insert(Numbers::zeros(self.tensors[0].size()[0] as usize * parts * width)?);
                // Zeros have states, too, which divide them.
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
            for (row, from) in rows.zip(floats(tensor)?.chunks_exact(self.vectors * self.k)) {
                let row = &mut row[part * width..];
                vectors.clone().for_each(|(padded, vector)| row[padded].copy_from_slice(&from[vector]));
            }
        }
        Ok(())
    }

    /// Writes the tensors.
    ///
    /// # Errors
    /// [`fm_core::Error::Torch`] if libtorch fails.
    pub fn write(&self) -> Result<()> {
        let (width, parts) = (self.width(), self.tensors.len());
        // Before the first epoch, the tensors are all there is.
        let Some(numbers) = &self.numbers else { return Ok(()) };
        let mut part_of_rows = Vec::with_capacity(self.tensors[0].numel());
        for (part, tensor) in self.tensors.iter().enumerate() {
            part_of_rows.clear();
            for row in numbers.as_slice().chunks_exact(parts * width) {
                let row = &row[part * width..];
                self.vectors().for_each(|(padded, _)| part_of_rows.extend_from_slice(&row[padded]));
            }
            let from = Tensor::f_from_slice(&part_of_rows)?.f_view(tensor.size().as_slice())?;
            no_grad(|| tensor.shallow_clone().f_copy_(&from))?;
        }
        Ok(())
    }

    /// Where each vector of a row is, zero-padded and in the tensors.
    fn vectors(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> + Clone + use<> {
        let (k, padded) = (self.k, self.padded);
        (0..self.vectors).map(move |vector| {
            let (with_zeros, without) = (vector * padded, vector * k);
            (with_zeros..with_zeros + k, without..without + k)
        })
    }
}

/// The numbers of a table, which several threads may change at once. A number that one thread reads while another one
/// changes it has its value from before or after the change, as processors read and write aligned float32 numbers as a
/// whole. By the letter of Rust's memory model this is a data race. It is accepted, as in other such trainers: the code
/// only moves numbers through registers and never decides by a number that it reads twice. One thread reads what it has
/// written.
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

impl<'a> Shared<'a> {
    /// The numbers at `at`.
    ///
    /// # Panics
    /// If they are not in the table.
    #[inline(always)]
    pub fn get<N: Number>(self, at: usize) -> N {
        self.check(at, N::LEN);
        // SAFETY: the numbers are in the table.
        unsafe { N::read(self.first.wrapping_add(at)) }
    }

    /// The numbers at `at` with their states, each of which follows `width` numbers after the one before it.
    ///
    /// # Panics
    /// If they are not in the table.
    #[inline(always)]
    pub fn cell<N: Number, R: Apply>(self, at: usize, width: usize) -> Cell<'a, N> {
        self.check(at, R::STATES * width + N::LEN);
        let first = self.first.wrapping_add(at);
        let mut states = [N::splat(0.0); Rule::MAX_STATES];
        for state in 0..R::STATES {
            // SAFETY: the last of the states is in the table.
            states[state] = unsafe { N::read(first.wrapping_add((1 + state) * width)) };
        }
        // SAFETY: the numbers are in the table.
        let number = unsafe { N::read(first) };
        Cell { number, states, first, width, table: PhantomData }
    }

    #[inline(always)]
    fn check(self, at: usize, len: usize) {
        // Ids fit in 31 bits and row lengths in 32, so `at + len` cannot overflow.
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
        // The first row begins with a cache line. A later one may end in another line than it begins with.
        if !len.is_multiple_of(LINE) && !LINE.is_multiple_of(len) {
            prefetch_line(first.wrapping_add(len - 1));
        }
    }
}

/// Numbers that were read from a table with their states.
pub struct Cell<'a, N> {
    pub number: N,
    states: [N; Rule::MAX_STATES],
    first: *mut f32,
    width: usize,
    table: PhantomData<&'a mut [f32]>,
}

impl<N: Number> Cell<'_, N> {
    /// Updates the numbers in the table.
    #[inline(always)]
    pub fn update<R: Apply>(mut self, rule: R, gradient: N) {
        let updated = rule.apply(self.number, gradient, &mut self.states);
        // SAFETY: `Shared::cell` has checked that the numbers and their states are in the table.
        unsafe { updated.write(self.first) };
        for state in 0..R::STATES {
            // SAFETY: as above.
            unsafe { self.states[state].write(self.first.wrapping_add((1 + state) * self.width)) };
        }
    }
}

/// Without arguments, so that the hot path keeps its numbers in registers.
#[cold]
fn outside() -> ! {
    panic!("numbers outside of a table");
}
