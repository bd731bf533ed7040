//! Lookups and matrix products.

use super::Call;
use crate::error::Result;
use crate::onnx::proto::AttributeProto;

pub(super) fn translate(call: &mut Call<'_>, name: &str) -> Result<Option<String>> {
    Ok(Some(match name {
        "embedding" => {
            let (table, ids) = (call.tensor("weight")?.name, call.tensor("indices")?.name);
            call.node("Gather", &[&table, &ids], vec![AttributeProto::int("axis", 0)])
        }
        "index_select" => {
            let (input, index) = (call.tensor("self")?, call.tensor("index")?.name);
            let axis = call.axis("dim", input.rank())?;
            call.node("Gather", &[&input.name, &index], vec![AttributeProto::int("axis", axis)])
        }
        "linear" => linear(call)?,
        "matmul" => product(call, "other")?,
        "mm" | "bmm" => product(call, "mat2")?,
        _ => return Ok(None),
    }))
}

fn product(call: &mut Call<'_>, other: &str) -> Result<String> {
    let (left, right) = (call.tensor("self")?.name, call.tensor(other)?.name);
    Ok(call.node("MatMul", &[&left, &right], vec![]))
}

/// `input · weightᵀ + bias`
fn linear(call: &mut Call<'_>) -> Result<String> {
    let (input, weight) = (call.tensor("input")?, call.tensor("weight")?);
    let bias = call.get("bias").is_some().then(|| call.tensor("bias")).transpose()?.map(|bias| bias.name);
    if input.rank() == 2 && weight.rank() == 2 {
        let inputs: Vec<&str> = [&input.name, &weight.name].into_iter().chain(&bias).map(String::as_str).collect();
        return Ok(call.node("Gemm", &inputs, vec![AttributeProto::int("transB", 1)]));
    }
    if weight.rank() != 2 {
        return Err(call.refuse("`weight` is not a matrix"));
    }
    // Runtimes transpose a stored weight once, when they load the file.
    let transposed = call.node("Transpose", &[&weight.name], vec![AttributeProto::ints("perm", &[1, 0])]);
    let product = call.node("MatMul", &[&input.name, &transposed], vec![]);
    Ok(match bias {
        Some(bias) => call.node("Add", &[&product, &bias], vec![]),
        None => product,
    })
}
