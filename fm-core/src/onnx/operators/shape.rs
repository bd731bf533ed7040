//! Operators that select, move or join elements.

use super::{Call, Operand};
use crate::error::Result;
use crate::onnx::element::Element;
use crate::onnx::graph::Size;
use crate::onnx::proto::AttributeProto;

pub(super) fn translate(call: &mut Call<'_>, name: &str) -> Result<Option<String>> {
    Ok(Some(match name {
        "narrow" => narrow(call)?,
        "slice" => slice(call)?,
        "select" => {
            let input = call.tensor("self")?;
            let axis = call.axis("dim", input.rank())?;
            let index = call.tensor_as("index", Element::Int64)?;
            call.node("Gather", &[&input.name, &index], vec![AttributeProto::int("axis", axis)])
        }
        "cat" => {
            let parts = call.tensors("tensors")?;
            let axis = call.axis("dim", call.result.rank())?;
            join(call, parts, axis)
        }
        "stack" => stack(call)?,
        "unsqueeze" => {
            let input = call.tensor("self")?.name;
            let axis = call.axis("dim", call.result.rank())?;
            let axes = call.builder.ints(&[axis])?;
            call.node("Unsqueeze", &[&input, &axes], vec![])
        }
        "squeeze" => squeeze(call)?,
        "flatten" | "reshape" | "view" if call.get("dtype").is_none() => {
            let input = call.tensor("self")?;
            let sizes = call.result.sizes.clone();
            reshape(call, &input, &sizes)?
        }
        "expand" | "expand_as" => expand(call)?,
        "transpose" => {
            let input = call.tensor("self")?;
            let (first, second) = (call.axis("dim0", input.rank())?, call.axis("dim1", input.rank())?);
            let mut order: Vec<i64> = (0..input.rank()).collect();
            order.swap(first as usize, second as usize);
            transpose(call, &input, &order)
        }
        "t" => {
            let input = call.tensor("self")?;
            let order: Vec<i64> = (0..input.rank()).rev().collect();
            transpose(call, &input, &order)
        }
        "permute" => {
            let input = call.tensor("self")?;
            let Some(order) = call.ints("dims")? else { return Ok(None) };
            let order: Vec<i64> =
                order.into_iter().map(|axis| if axis < 0 { axis + input.rank() } else { axis }).collect();
            transpose(call, &input, &order)
        }
        "diagonal" => diagonal(call)?,
        "triu" => triangle(call, true)?,
        "tril" => triangle(call, false)?,
        _ => return Ok(None),
    }))
}

fn transpose(call: &mut Call<'_>, input: &Operand, order: &[i64]) -> String {
    if order.is_sorted() {
        return input.name.clone();
    }
    call.node("Transpose", &[&input.name], vec![AttributeProto::ints("perm", order)])
}

/// The elements `start, start + step, …` before `end` of an axis.
fn cut(call: &mut Call<'_>, input: &Operand, axis: i64, (start, end, step): (i64, i64, i64)) -> Result<String> {
    if start == 0
        && step == 1
        && (end == i64::MAX || input.sizes[axis as usize].fixed().is_some_and(|size| end >= size))
    {
        return Ok(input.name.clone());
    }
    let (start, end) = (call.builder.ints(&[start])?, call.builder.ints(&[end])?);
    let (axis, step) = (call.builder.ints(&[axis])?, (step != 1).then(|| call.builder.ints(&[step])).transpose()?);
    let inputs: Vec<&str> = [&input.name, &start, &end, &axis].into_iter().chain(&step).map(String::as_str).collect();
    Ok(call.node("Slice", &inputs, vec![]))
}

fn narrow(call: &mut Call<'_>) -> Result<String> {
    let input = call.tensor("self")?;
    let axis = call.axis("dim", input.rank())?;
    let (Some(start), Some(length)) = (call.int("start")?, call.int("length")?) else {
        return Err(call.refuse("its bounds are not constants"));
    };
    let start = match input.sizes[axis as usize].fixed() {
        Some(size) if start < 0 => start + size,
        None if start < 0 => return Err(call.refuse("it counts rows from the end")),
        _ => start,
    };
    cut(call, &input, axis, (start, start + length, 1))
}

fn slice(call: &mut Call<'_>) -> Result<String> {
    let input = call.tensor("self")?;
    let axis = call.axis("dim", input.rank())?;
    let (start, end, step) = (call.int("start")?, call.int("end")?, call.int("step")?);
    cut(call, &input, axis, (start.unwrap_or(0), end.unwrap_or(i64::MAX), step.unwrap_or(1)))
}

fn stack(call: &mut Call<'_>) -> Result<String> {
    let parts = call.tensors("tensors")?;
    let axis = call.axis("dim", call.result.rank())?;
    let axes = call.builder.ints(&[axis])?;
    let parts = parts.iter().map(|part| call.node("Unsqueeze", &[part, &axes], vec![])).collect();
    Ok(join(call, parts, axis))
}

fn join(call: &mut Call<'_>, mut parts: Vec<String>, axis: i64) -> String {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    call.node("Concat", &parts, vec![AttributeProto::int("axis", axis)])
}

/// libtorch ignores axes of a size other than 1; ONNX rejects them.
fn squeeze(call: &mut Call<'_>) -> Result<String> {
    let input = call.tensor("self")?;
    let asked = call.ints("dim")?.unwrap_or_else(|| (0..input.rank()).collect());
    let mut axes = vec![];
    for axis in asked.into_iter().map(|axis| if axis < 0 { axis + input.rank() } else { axis }) {
        match input.sizes[axis as usize].fixed() {
            None => return Err(call.refuse("it drops the batch axis for a single row: give the axis to drop")),
            Some(1) => axes.push(axis),
            _ => {}
        }
    }
    if axes.is_empty() {
        return Ok(input.name);
    }
    let axes = call.builder.ints(&axes)?;
    Ok(call.node("Squeeze", &[&input.name, &axes], vec![]))
}

/// Reshapes to the traced sizes.
fn reshape(call: &mut Call<'_>, input: &Operand, sizes: &[Size]) -> Result<String> {
    if input.sizes == sizes {
        return Ok(input.name.clone());
    }
    // 0 keeps the size of an axis, even if it is 0. One other unknown size, -1, follows from the number of elements.
    let mut target = vec![];
    for (axis, size) in sizes.iter().enumerate() {
        let kept = input.sizes.get(axis) == Some(size);
        match size.fixed() {
            None | Some(0) if kept => target.push(0),
            Some(size) if size > 0 => target.push(size),
            None if !target.contains(&-1) => target.push(-1),
            _ => return Err(call.refuse("its sizes do not follow from the number of elements")),
        }
    }
    let target = call.builder.ints(&target)?;
    Ok(call.node("Reshape", &[&input.name, &target], vec![]))
}

/// Expands to the traced sizes. 1 keeps the size of an axis.
fn expand(call: &mut Call<'_>) -> Result<String> {
    let input = call.tensor("self")?;
    let added = call.result.sizes.len() - input.sizes.len();
    let mut target = vec![];
    for (axis, size) in call.result.sizes.iter().enumerate() {
        let own = axis.checked_sub(added).map(|axis| input.sizes[axis]);
        match size.fixed() {
            _ if own == Some(*size) => target.push(1),
            Some(size) => target.push(size),
            None => {
                // The number of rows comes from another tensor.
                let other = call.tensor("other")?.name;
                let shape = call.node("Shape", &[&other], vec![]);
                return Ok(call.node("Expand", &[&input.name, &shape], vec![]));
            }
        }
    }
    if target.iter().all(|&size| size == 1) && added == 0 {
        return Ok(input.name);
    }
    let target = call.builder.ints(&target)?;
    Ok(call.node("Expand", &[&input.name, &target], vec![]))
}

/// The elements of the last two axes from a diagonal upwards or downwards, and zeros elsewhere.
fn triangle(call: &mut Call<'_>, upper: bool) -> Result<String> {
    let input = call.tensor("self")?.name;
    let diagonal = call.tensor_as("diagonal", Element::Int64)?;
    Ok(call.node("Trilu", &[&input, &diagonal], vec![AttributeProto::int("upper", upper.into())]))
}

/// The elements `(i, i + offset)` of two axes, as the last axis.
fn diagonal(call: &mut Call<'_>) -> Result<String> {
    let input = call.tensor("self")?;
    let rank = input.rank();
    let offset = call.int("offset")?.unwrap_or(0);
    let (first, second) = (call.axis("dim1", rank)?, call.axis("dim2", rank)?);
    let (Some(rows), Some(columns)) = (input.sizes[first as usize].fixed(), input.sizes[second as usize].fixed())
    else {
        return Err(call.refuse("it is over the rows of the batch"));
    };
    // Move both axes to the end and flatten them. The diagonal's elements then have known positions.
    let mut order: Vec<i64> = (0..rank).filter(|axis| ![first, second].contains(axis)).collect();
    let mut sizes: Vec<Size> = order.iter().map(|&axis| input.sizes[axis as usize]).collect();
    order.extend([first, second]);
    let name = transpose(call, &input, &order);
    let moved = Operand { name, sizes: order.iter().map(|&axis| input.sizes[axis as usize]).collect(), ..input };
    sizes.push(Size::from(rows * columns));
    let flat = reshape(call, &moved, &sizes)?;
    let places: Vec<i64> = (0..rows)
        .filter(|row| (0..columns).contains(&(row + offset)))
        .map(|row| row * columns + row + offset)
        .collect();
    let places = call.builder.ints(&places)?;
    Ok(call.node("Gather", &[&flat, &places], vec![AttributeProto::int("axis", rank - 2)]))
}
