// Stores the tables of a traced module in fewer bytes: the weights of `aten::embedding` have a smaller type, and rows are
// converted to float32 after the lookup. Converting before it would convert the whole table for each batch.

#include "bridge.h"

#include <torch/csrc/jit/runtime/graph_iterator.h>
#include <torch/script.h>

#include <limits>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace aten = c10::aten;
using torch::jit::Graph;
using torch::jit::Module;
using torch::jit::Node;
using torch::jit::Value;

// The names from a module through its submodules to an attribute.
using Path = std::vector<std::string>;

std::string dotted(const Path &path) { return c10::Join(".", path); }

// The path from `self` to `value`. Empty if it is not an attribute.
std::optional<Path> path_of(Value *value, Value *self) {
  if (value == self) return Path();
  if (value->node()->kind() != c10::prim::GetAttr) return std::nullopt;
  auto path = path_of(value->node()->input(), self);
  if (path) path->push_back(value->node()->s(c10::attr::name));
  return path;
}

struct Uses {
  std::vector<Node *> lookups;
  bool are_all_lookups = true;
};

void find_uses_of_tensors(std::shared_ptr<Graph> graph, std::map<Path, Uses> &tensors) {
  torch::jit::DepthFirstGraphNodeIterator nodes(graph);
  while (auto node = nodes.next()) {
    if (node->kind() != c10::prim::GetAttr || !node->output()->type()->isSubtypeOf(*c10::TensorType::get())) continue;
    auto path = path_of(node->output(), graph->inputs().at(0));
    if (!path) continue;
    auto &uses = tensors[*path];
    for (auto &use : node->output()->uses()) {
      bool is_lookup = use.user->kind() == aten::embedding && use.offset == 0;
      if (is_lookup) uses.lookups.push_back(use.user);
      uses.are_all_lookups &= is_lookup;
    }
  }
}

// Int8 also needs four bytes for a scale, so a table with one column would grow and is kept.
bool shrinks(const at::Tensor &table, at::ScalarType kind) {
  if (table.scalar_type() != at::kFloat || table.dim() != 2 || table.numel() == 0) return false;
  auto k = table.size(1);
  return k * static_cast<int64_t>(c10::elementSize(kind)) + (kind == at::kChar ? 4 : 0) < k * 4;
}

void check_range(const Path &path, const at::Tensor &table, at::ScalarType kind) {
  auto [least, greatest] = table.aminmax();
  for (auto &number : {least, greatest}) {
    // Rounding is monotonic: if these two are finite, all are.
    auto stored = kind == at::kChar ? number.div(127).mul(127) : number.to(kind);
    if (stored.isfinite().item<bool>()) continue;
    std::ostringstream text;
    text << "`" << dotted(path) << "` contains " << number.item<float>() << ", which is out of its range";
    throw std::runtime_error(text.str());
  }
}

// Replaces `table` by rows of int8 with a scale each. An additional offset would reduce the error of trained rows of 16
// numbers by a fifth, but take a fifth more bytes, and would not preserve zeros.
void quantize(Module owner, const std::string &name, const at::Tensor &table) {
  // At least the smallest normal float, so that no scale is zero or denormal.
  auto scales = at::linalg_vector_norm(table, INFINITY, at::IntArrayRef{1}, /*keepdim=*/true)
                    .div_(127)
                    .clamp_min_(std::numeric_limits<float>::min());
  auto rows = table.div(scales).round_().to(at::kChar);
  // A parameter must support gradients. No other module shares this class, so it can be changed.
  owner._ivalue()->unsafeRemoveAttr(name);
  owner.type()->unsafeRemoveAttribute(name);
  owner.register_buffer(name, rows);
  owner.register_buffer(name + "_scale", scales);
}

// Converts the result of `lookup` to float32, and multiplies it by the scales named `scales`.
void convert_rows(Node *lookup, const std::optional<std::string> &scales) {
  auto &graph = *lookup->owningGraph();
  torch::jit::WithInsertPoint position(lookup->next());
  // The trace contains float32.
  lookup->output()->setType(c10::TensorType::get());
  auto rows = graph.insert(aten::to, {lookup->output(), at::kFloat, false, false});
  if (scales) {
    auto lookup_of_scales = graph.createClone(lookup, [](Value *value) { return value; });
    lookup_of_scales->replaceInput(0, graph.insertGetAttr(lookup->input(0)->node()->input(), *scales));
    graph.insertNode(lookup_of_scales);
    rows = graph.insert(aten::mul, {rows, lookup_of_scales->output()});
  }
  lookup->output()->replaceAllUsesAfterNodeWith(rows->node(), rows);
}

}  // namespace

extern "C" {

// Stores the tables of a traced module as `kind`, a `c10::ScalarType`. Call it before running the module.
char *fm_store_tables(void *traced, int kind_number) {
  return protect([&] {
    at::NoGradGuard no_grad;
    auto kind = static_cast<at::ScalarType>(kind_number);
    auto &module = *static_cast<Module *>(traced);
    std::map<Path, Uses> tensors;
    for (auto &method : module.get_methods()) find_uses_of_tensors(method.graph(), tensors);
    for (auto &[path, uses] : tensors) {
      if (uses.lookups.empty() || !uses.are_all_lookups) continue;
      auto owner = module;
      for (size_t i = 0; i + 1 < path.size(); ++i) owner = owner.attr(path[i]).toModule();
      auto &name = path.back();
      auto table = owner.attr(name).toTensor().detach();
      if (!shrinks(table, kind)) continue;
      check_range(path, table, kind);
      if (kind == at::kChar) {
        quantize(owner, name, table);
        for (auto lookup : uses.lookups) convert_rows(lookup, name + "_scale");
      } else {
        bool is_trained = owner.attr(name).toTensor().requires_grad();
        owner.setattr(name, table.to(kind).set_requires_grad(is_trained));
        for (auto lookup : uses.lookups) convert_rows(lookup, std::nullopt);
      }
    }
    for (auto &method : module.get_methods()) method.graph()->lint();
  });
}

}  // extern "C"
