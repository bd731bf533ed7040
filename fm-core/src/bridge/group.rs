//! Process groups.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::NonNull;

use tch::{Device, Kind, Tensor};

use super::{c_string, check};
use crate::error::{Error, Result};

unsafe extern "C" {
    fn fm_group_new(
        host: *const c_char,
        port: u16,
        rank: c_int,
        size: c_int,
        serves: bool,
        prefix: *const c_char,
        timeout_ms: i64,
        interface: *const c_char,
        group: *mut *mut c_void,
    ) -> *mut c_char;
    fn fm_group_free(group: *mut c_void);
    fn fm_group_sum(group: *mut c_void, tensor: *mut c_void) -> *mut c_char;
    fn fm_group_exchange(
        group: *mut c_void,
        output: *mut c_void,
        input: *mut c_void,
        output_counts: *const i64,
        input_counts: *const i64,
    ) -> *mut c_char;
    fn fm_group_broadcast(group: *mut c_void, tensor: *mut c_void) -> *mut c_char;
}

/// Where and as which processes meet.
pub(crate) struct Rendezvous<'a> {
    pub host: &'a str,
    pub port: u16,
    pub rank: usize,
    pub size: usize,
    pub serves: bool,
    pub prefix: &'a str,
    pub timeout_ms: i64,
    pub interface: &'a str,
}

/// A process group of libtorch. All processes call the same functions in the same order, with tensors of the kinds and sizes
/// that belong together.
#[derive(Debug)]
pub(crate) struct RawGroup {
    group: NonNull<c_void>,
    size: usize,
}

impl RawGroup {
    /// Waits for the other processes.
    pub fn new(at: &Rendezvous<'_>) -> Result<RawGroup> {
        let (host, prefix, interface) = (c_string(at.host)?, c_string(at.prefix)?, c_string(at.interface)?);
        let number = |number: usize| c_int::try_from(number).unwrap_or(c_int::MAX);
        let mut group = std::ptr::null_mut();
        // SAFETY: the texts are zero-terminated and outlive the call, which writes one pointer.
        check(unsafe {
            fm_group_new(
                host.as_ptr(),
                at.port,
                number(at.rank),
                number(at.size),
                at.serves,
                prefix.as_ptr(),
                at.timeout_ms,
                interface.as_ptr(),
                &raw mut group,
            )
        })?;
        let group = NonNull::new(group).ok_or_else(|| Error::Torch("a process group is null".into()))?;
        Ok(RawGroup { group, size: at.size })
    }

    /// Sums a tensor over all processes, in place.
    pub fn sum(&self, tensor: &Tensor) -> Result<()> {
        check_tensor(tensor)?;
        // SAFETY: the group lives, and a tch tensor's pointer is an `at::Tensor*`.
        check(unsafe { fm_group_sum(self.group.as_ptr(), pointer(tensor)) })
    }

    /// Sends `input_counts[r]` elements of `input` to each rank r, and receives `output_counts[r]` from it into `output`.
    pub fn exchange(
        &self,
        (output, output_counts): (&Tensor, &[i64]),
        (input, input_counts): (&Tensor, &[i64]),
    ) -> Result<()> {
        for (tensor, counts) in [(output, output_counts), (input, input_counts)] {
            check_tensor(tensor)?;
            if counts.len() != self.size || counts.iter().sum::<i64>() != tensor.numel() as i64 {
                let expected = format!("{} counts that add up to {}", self.size, tensor.numel());
                return Err(Error::shape("exchange", expected, format!("{counts:?}")));
            }
        }
        // SAFETY: as above; the counts are as many as there are processes.
        check(unsafe {
            fm_group_exchange(
                self.group.as_ptr(),
                pointer(output),
                pointer(input),
                output_counts.as_ptr(),
                input_counts.as_ptr(),
            )
        })
    }

    /// Copies the tensor of rank 0 into those of all others.
    pub fn broadcast(&self, tensor: &Tensor) -> Result<()> {
        check_tensor(tensor)?;
        // SAFETY: as above.
        check(unsafe { fm_group_broadcast(self.group.as_ptr(), pointer(tensor)) })
    }
}

impl Drop for RawGroup {
    fn drop(&mut self) {
        // SAFETY: the group was made by `fm_group_new`, and is freed once.
        unsafe { fm_group_free(self.group.as_ptr()) }
    }
}

fn pointer(tensor: &Tensor) -> *mut c_void {
    tensor.as_ptr().cast_mut().cast()
}

fn check_tensor(tensor: &Tensor) -> Result<()> {
    let is_known = matches!(tensor.kind(), Kind::Float | Kind::Int64 | Kind::Int | Kind::Uint8);
    match is_known && tensor.device() == Device::Cpu && tensor.is_contiguous() && !tensor.requires_grad() {
        true => Ok(()),
        false => Err(Error::shape("process group", "a contiguous tensor on the CPU", format!("{tensor:?}"))),
    }
}
