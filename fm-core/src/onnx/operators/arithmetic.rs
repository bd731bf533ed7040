//! Element-wise operators.

use std::f64::consts::PI;

use super::{Call, Value};
use crate::error::Result;
use crate::onnx::element::Element;
use crate::onnx::graph::Constant;

pub(super) fn translate(call: &mut Call<'_>, name: &str) -> Result<Option<String>> {
    if let Some(op_type) = of_one(name) {
        let element = call.result.element;
        let input = call.tensor_as("self", element)?;
        return Ok(Some(call.node(op_type, &[&input], vec![])));
    }
    Ok(Some(match name {
        "add" => sum(call, "Add")?,
        "sub" => sum(call, "Sub")?,
        "mul" => of_two(call, "Mul")?,
        "div" if call.get("rounding_mode").is_none() => of_two(call, "Div")?,
        "addcmul" => add_product(call)?,
        "maximum" => of_two(call, "Max")?,
        "minimum" => of_two(call, "Min")?,
        "square" => {
            let input = call.tensor("self")?.name;
            call.node("Mul", &[&input, &input], vec![])
        }
        "rsqrt" => {
            let element = call.result.element;
            let input = call.tensor_as("self", element)?;
            let root = call.node("Sqrt", &[&input], vec![]);
            call.node("Reciprocal", &[&root], vec![])
        }
        "pow" => {
            let element = call.result.element;
            let (base, exponent) = (call.tensor_as("self", element)?, call.tensor_as("exponent", element)?);
            call.node("Pow", &[&base, &exponent], vec![])
        }
        "clamp" | "clamp_min" | "clamp_max" => clamp(call)?,
        "atan2" => angle(call)?,
        "eq" => compare(call, "Equal")?,
        "ne" => {
            let equal = compare(call, "Equal")?;
            call.node("Not", &[&equal], vec![])
        }
        "lt" => compare(call, "Less")?,
        "le" => compare(call, "LessOrEqual")?,
        "gt" => compare(call, "Greater")?,
        "ge" => compare(call, "GreaterOrEqual")?,
        "logical_not" => {
            let input = call.tensor_as("self", Element::Bool)?;
            call.node("Not", &[&input], vec![])
        }
        "logical_and" => logical(call, "And")?,
        "logical_or" => logical(call, "Or")?,
        "masked_fill" => choose(call, "mask", "value", "self")?,
        "where" => choose(call, "condition", "self", "other")?,
        "to" | "type_as" => {
            let element = call.result.element;
            call.tensor_as("self", element)?
        }
        // These change nothing in a graph that is only evaluated.
        "detach" | "contiguous" => call.tensor("self")?.name,
        "dropout" if !call.flag("train")? => call.tensor("input")?.name,
        _ => return Ok(None),
    }))
}

/// Unary operators that ONNX also has.
fn of_one(name: &str) -> Option<&'static str> {
    Some(match name {
        "abs" => "Abs",
        "atan" => "Atan",
        "cos" => "Cos",
        "exp" => "Exp",
        "log" => "Log",
        "neg" => "Neg",
        "reciprocal" => "Reciprocal",
        "relu" => "Relu",
        "sigmoid" => "Sigmoid",
        "sin" => "Sin",
        "sqrt" => "Sqrt",
        "tanh" => "Tanh",
        _ => return None,
    })
}

fn of_two(call: &mut Call<'_>, op_type: &str) -> Result<String> {
    let element = call.result.element;
    if element == Element::Bool {
        return Err(call.refuse("its operands are bool"));
    }
    let (left, right) = (call.tensor_as("self", element)?, call.tensor_as("other", element)?);
    Ok(call.node(op_type, &[&left, &right], vec![]))
}

/// `self ± alpha · other`
fn sum(call: &mut Call<'_>, op_type: &str) -> Result<String> {
    let alpha = call.number("alpha")?.unwrap_or(1.0);
    let element = call.result.element;
    // For example, subtracting the first id of a table's first field.
    if matches!(call.get("other"), Some(Value::Constant(Constant::Int(0)))) {
        return call.tensor_as("self", element);
    }
    if alpha == 1.0 {
        return of_two(call, op_type);
    }
    let (left, right) = (call.tensor_as("self", element)?, call.tensor_as("other", element)?);
    let alpha = call.builder.scalar(alpha, element)?;
    let scaled = call.node("Mul", &[&right, &alpha], vec![]);
    Ok(call.node(op_type, &[&left, &scaled], vec![]))
}

/// `self + value · tensor1 · tensor2`
fn add_product(call: &mut Call<'_>) -> Result<String> {
    let value = call.number("value")?.unwrap_or(1.0);
    let element = call.result.element;
    let (left, right) = (call.tensor_as("tensor1", element)?, call.tensor_as("tensor2", element)?);
    let mut product = call.node("Mul", &[&left, &right], vec![]);
    if value != 1.0 {
        let value = call.builder.scalar(value, element)?;
        product = call.node("Mul", &[&product, &value], vec![]);
    }
    let input = call.tensor_as("self", element)?;
    Ok(call.node("Add", &[&input, &product], vec![]))
}

/// The angle of the point with the abscissa `other` and the ordinate `self`, between -π and π.
fn angle(call: &mut Call<'_>) -> Result<String> {
    let element = call.result.element;
    let (y, x) = (call.tensor_as("self", element)?, call.tensor_as("other", element)?);
    let zero = call.builder.scalar(0.0, element)?;
    // The angle of (0, 0) is 0, but 0 / 0 is not a number.
    let is_zero = call.node("Equal", &[&x, &zero], vec![]);
    let tiny = call.builder.scalar(f64::from(f32::MIN_POSITIVE), element)?;
    let divisor = call.node("Where", &[&is_zero, &tiny, &x], vec![]);
    let slope = call.node("Div", &[&y, &divisor], vec![]);
    let right = call.node("Atan", &[&slope], vec![]);
    // A point on the left is half a turn away from the one opposite of it.
    let (back, on) = (call.builder.scalar(-PI, element)?, call.builder.scalar(PI, element)?);
    let is_below = call.node("Less", &[&y, &zero], vec![]);
    let half_turn = call.node("Where", &[&is_below, &back, &on], vec![]);
    let left = call.node("Add", &[&right, &half_turn], vec![]);
    let is_left = call.node("Less", &[&x, &zero], vec![]);
    Ok(call.node("Where", &[&is_left, &left, &right], vec![]))
}

fn clamp(call: &mut Call<'_>) -> Result<String> {
    let element = call.result.element;
    let input = call.tensor_as("self", element)?;
    let mut bound = |argument: &str| match call.get(argument) {
        Some(_) => call.tensor_as(argument, element),
        None => Ok(String::new()),
    };
    let (min, max) = (bound("min")?, bound("max")?);
    // An empty name is an omitted input. At the end of the list, it is dropped.
    let inputs: &[&str] = if max.is_empty() { &[&input, &min] } else { &[&input, &min, &max] };
    Ok(call.node("Clip", inputs, vec![]))
}

/// Compares both sides in their promoted type.
fn compare(call: &mut Call<'_>, op_type: &str) -> Result<String> {
    let left = call.tensor("self")?;
    let element = match call.get("other") {
        Some(Value::Constant(constant)) if call.number_of(constant).is_some() => {
            call.element_beside(constant, left.element)
        }
        _ => left.element.max(call.tensor("other")?.element),
    };
    if element == Element::Bool && op_type != "Equal" {
        return Err(call.refuse("its operands are bool"));
    }
    let (left, right) = (call.cast(&left, element), call.tensor_as("other", element)?);
    Ok(call.node(op_type, &[&left, &right], vec![]))
}

fn logical(call: &mut Call<'_>, op_type: &str) -> Result<String> {
    let (left, right) = (call.tensor_as("self", Element::Bool)?, call.tensor_as("other", Element::Bool)?);
    Ok(call.node(op_type, &[&left, &right], vec![]))
}

fn choose(call: &mut Call<'_>, condition: &str, yes: &str, no: &str) -> Result<String> {
    let element = call.result.element;
    let condition = call.tensor_as(condition, Element::Bool)?;
    let (yes, no) = (call.tensor_as(yes, element)?, call.tensor_as(no, element)?);
    Ok(call.node("Where", &[&condition, &yes, &no], vec![]))
}
