// The graph of a traced module as text for Rust.

#include "bridge.h"

#include <torch/csrc/jit/passes/common_subexpression_elimination.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/script.h>

#include <cmath>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

using torch::jit::Graph;
using torch::jit::Node;
using torch::jit::Value;

std::string quoted(const std::string &text) {
  std::ostringstream out;
  out << '"';
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      out << '\\' << c;
    } else if (c < 0x20) {
      char escape[8];
      snprintf(escape, sizeof escape, "\\u%04x", c);
      out << escape;
    } else {
      out << c;
    }
  }
  out << '"';
  return out.str();
}

template <typename Items, typename Write>
std::string list(const Items &items, Write &&write) {
  std::string out;
  for (const auto &item : items) out += (out.empty() ? "" : ",") + write(item);
  return "[" + out + "]";
}

// Floats are strings with all digits, because JSON has no infinity.
std::string number(double value) {
  char text[32];
  snprintf(text, sizeof text, "\"%.17g\"", value);
  return text;
}

// For example `{"Float": "0.5"}`. A tensor is its index among those passed to `receive_tensor`.
std::string constant(const c10::IValue &value, std::vector<at::Tensor> &tensors) {
  if (value.isNone()) return "\"None\"";
  if (value.isBool()) return value.toBool() ? "{\"Bool\":true}" : "{\"Bool\":false}";
  if (value.isInt()) return "{\"Int\":" + std::to_string(value.toInt()) + "}";
  if (value.isDouble()) return "{\"Float\":" + number(value.toDouble()) + "}";
  if (value.isString()) return "{\"Text\":" + quoted(value.toStringRef()) + "}";
  if (value.isIntList()) {
    return "{\"Ints\":" + list(value.toIntVector(), [](int64_t item) { return std::to_string(item); }) + "}";
  }
  if (value.isTensor()) {
    tensors.push_back(value.toTensor());
    return "{\"Tensor\":" + std::to_string(tensors.size() - 1) + "}";
  }
  return "{\"Other\":" + quoted(value.tagKind()) + "}";
}

// `{"name": ..., "kind": libtorch's number, "sizes": [...]}`. Only traced tensors have a kind and sizes.
std::string described(const Value *value) {
  auto out = "{\"name\":" + quoted(value->debugName());
  if (auto type = value->type()->cast<c10::TensorType>()) {
    if (auto kind = type->scalarType()) out += ",\"kind\":" + std::to_string(static_cast<int>(*kind));
    if (auto sizes = type->sizes().concrete_sizes()) {
      out += ",\"sizes\":" + list(*sizes, [](int64_t size) { return std::to_string(size); });
    }
  }
  return out + "}";
}

std::string named(const Value *value) { return quoted(value->debugName()); }

// Operations: `{"operator": "aten::sum", "arguments": [["self", "x"], ["dim", "3"], ...], "outputs": [...]}`, with the
// names of the operator's schema. `prim::Constant` has a `constant`, `prim::GetAttr` a `parameter`: its dotted name.
std::string operation(const Node *node, const std::string &parameter, std::vector<at::Tensor> &tensors) {
  auto out = "{\"operator\":" + quoted(node->kind().toQualString());
  size_t position = 0;
  const auto *schema = node->maybeSchema();
  out += ",\"arguments\":" + list(node->inputs(), [&](const Value *input) {
           auto at = position++;
           auto known = schema && at < schema->arguments().size();
           return "[" + quoted(known ? schema->arguments()[at].name() : "") + "," + named(input) + "]";
         });
  out += ",\"outputs\":" + list(node->outputs(), described);
  if (node->kind() == c10::prim::Constant) {
    out += ",\"constant\":" + constant(torch::jit::toIValue(node->output()).value_or(c10::IValue()), tensors);
  }
  if (node->kind() == c10::prim::GetAttr) out += ",\"parameter\":" + quoted(parameter);
  return out + "}";
}

}  // namespace

extern "C" {

// Passes `{"inputs": [...], "operations": [...], "outputs": [...]}` of the module's `forward` to
// `receive_text(context, bytes, length)`, after passing constant tensors to `receive_tensor`. Constants are not folded:
// libtorch would fold operations that create tensors, whose elements a trace does not record.
char *fm_module_graph(void *module, void (*receive_text)(void *, const char *, size_t),
                      void (*receive_tensor)(void *, void *), void *context) {
  return protect([&] {
    auto method = static_cast<torch::jit::Module *>(module)->get_method("forward");
    auto graph = method.graph()->copy();
    torch::jit::Inline(*graph);
    torch::jit::EliminateCommonSubexpression(graph);
    torch::jit::EliminateDeadCode(graph);

    std::vector<at::Tensor> tensors;
    std::unordered_map<const Value *, std::string> paths{{graph->inputs().at(0), ""}};
    std::vector<std::string> operations;
    for (const Node *node : graph->nodes()) {
      std::string path;
      if (node->kind() == c10::prim::GetAttr) {
        const auto &owner = paths.at(node->input());
        path = owner + (owner.empty() ? "" : ".") + node->s(c10::attr::name);
        paths[node->output()] = path;
        if (!node->output()->type()->isSubtypeOf(*c10::TensorType::get())) continue;
      }
      operations.push_back(operation(node, path, tensors));
    }
    auto text = "{\"inputs\":" + list(graph->inputs().slice(1), named) +
                ",\"operations\":" + list(operations, [](const std::string &text) { return text; }) +
                ",\"outputs\":" + list(graph->outputs(), named) + "}";
    for (auto &tensor : tensors) receive_tensor(context, &tensor);
    receive_text(context, text.data(), text.size());
  });
}

}  // extern "C"
